"""The graph engine: pure, sans-I/O. Events in, instructions out; no torch, no clock, no sockets."""

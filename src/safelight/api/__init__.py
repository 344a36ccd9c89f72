"""HTTP and WebSocket: the kernel that compiles the contract, and its handlers."""

"""The worker process: it runs graphs, one at a time, on one device."""

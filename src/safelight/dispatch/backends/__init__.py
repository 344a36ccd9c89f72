"""Where engines run: local processes, a Ray cluster, or a fake for tests."""

"""Jobs to workers: the dispatcher that claims, and the backends that run."""

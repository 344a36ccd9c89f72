"""Events to many listeners."""

"""Plain values, switches and calculations."""

"""Which job starts next, and on which slot. Pure: no clock, no I/O."""

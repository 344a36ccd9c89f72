"""How input files reach an engine, and how its outputs reach the store."""

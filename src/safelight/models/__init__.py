"""Neural networks: what they are, how their files are read, how they run. Knows torch; knows no nodes."""

"""One try of a job: its limits, its outcome, its recovery after a restart."""

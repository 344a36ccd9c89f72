"""Verbs: what a caller may do, one module a noun; functions on a transaction, no SQL and no HTTP."""

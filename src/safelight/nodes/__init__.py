"""The node library, by domain: every module below is searched for nodes (sdk/registry.py)."""

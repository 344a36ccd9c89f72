"""A migrated database, once for the session."""

from tests.api.conftest import migrated, server, settings

__all__ = ["migrated", "server", "settings"]

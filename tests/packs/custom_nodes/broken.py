"""A pack that cannot be imported: what it needs is not installed."""

import a_library_that_nobody_has  # noqa: F401

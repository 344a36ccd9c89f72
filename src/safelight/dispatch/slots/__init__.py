"""The slots as the dispatcher sees them."""

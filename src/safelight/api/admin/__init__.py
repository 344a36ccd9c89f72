"""Safelight's own routes for administrators; a client of ComfyUI knows none of them."""

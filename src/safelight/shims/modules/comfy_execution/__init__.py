"""ComfyUI's executor, as far as packs import it."""

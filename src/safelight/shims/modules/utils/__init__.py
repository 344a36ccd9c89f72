"""ComfyUI's own helper package, of which packs import ``extra_config``."""

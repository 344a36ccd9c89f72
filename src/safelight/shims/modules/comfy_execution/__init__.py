"""The parts of ComfyUI's executor that packs import."""

"""``python -m safelight.comfyui_engine``."""

from safelight.comfyui_engine.launch import main

main()

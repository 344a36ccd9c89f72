"""One module for each name that packs import: ``import folder_paths`` imports ``modules/folder_paths.py``.

Names and signatures are ComfyUI's; the implementations are not.
"""

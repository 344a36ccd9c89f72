"""A ComfyUI on disk: what can be told of it without starting it. Nothing here changes a file.

* ``inspection``: what its interpreter has installed, and what is missing.
* ``installation``: its folder, its interpreter, its version, its packs and the folders of its models.
* ``saved_work``: its output files, its input files and its saved workflows.
"""

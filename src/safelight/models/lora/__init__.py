"""LoRA files of every common dialect, read into weight layers under a network's canonical names.

* ``changes``: the formulas of the dialects.
* ``file``: read a file, and make its layers for a network.
* ``names``: which module of a network a key refers to.
* ``parts``: parse the keys of a file.
"""

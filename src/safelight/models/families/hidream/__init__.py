"""HiDream I1 (HiDream.ai 2025): full, dev and fast; and E1, which edits pictures.

* ``conditioning``: what the options of a conditioning mean to its network.
* ``experts``: its feed-forward layers, of several experts.
* ``family``: how its files are told, and what is known about them.
* ``hidream_module``: the network.
* ``miniature_files``: its miniature weights.
* ``text``: its text encoders, and how their outputs are joined.
"""

"""Miniature weights: files of a family in the true layout and quantisation, but small and random, so that a graph can
be tried before its models are downloaded. ``safelight model miniature`` writes them.

A family's folder, and that of language models, has a module ``miniature_files`` with the value ``MINIATURES``.

* ``file``: what is known about one such file.
* ``shapes``: small shapes of the text encoders and autoencoders that families share.
* ``writing``: write the files of a name.
"""

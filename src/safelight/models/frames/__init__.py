"""Networks that make frames between frames.

* ``film_module``: the network of FILM.
* ``interpolator``: the value on INTERP_MODEL links.
* ``miniature_files``: miniature weights.
"""

"""Stable Diffusion 1, 2 and XL with its refiner (Rombach et al. 2022, Podell et al. 2023).

* ``conditioning``: what the options of a conditioning mean to its networks.
* ``family``: how its files are told, and what is known about each.
* ``miniature``: the bundled model, a small rectified flow of this project's own.
* ``miniature_files``: its miniature weights.
* ``seen_images``: images as a pooled condition.
"""

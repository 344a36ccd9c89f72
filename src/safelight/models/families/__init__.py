"""Model families: how a file's family is detected, and what is specific to each family.

* ``conditioning``: what the options of a conditioning mean to a family's network.
* ``family``: what is known about a family besides its weights.
* ``miniature``: the bundled model.
* ``registry``: detect the family of a file.
* ``stable_diffusion``: Stable Diffusion 1, 2 and XL.
"""

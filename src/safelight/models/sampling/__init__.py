"""Sampling: from noise to a latent with a network that removes noise. Knows no files, families or nodes.

* ``entries``: a conditioning as sampling uses it: areas, masks, ranges of the steps.
* ``guidance``: combine the predictions under several conditionings.
* ``levels``: the noise levels of the model families.
* ``noise``: the noise that samplers add inside their steps.
* ``packed``: several latents that are denoised together.
* ``parameterization``: what a network was trained to predict, at which noise levels.
* ``part_guidance``: guidance with a strength for each part of a latent.
* ``prediction``: from a network's output to the noise-free latent.
* ``sample``: one run of sampling.
* ``samplers/``: the solvers.
* ``schedules``: which noise levels to visit.
* ``step_cache``: leave out evaluations of the network.
"""

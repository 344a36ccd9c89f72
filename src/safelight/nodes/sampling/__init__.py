"""Nodes for sampling: samplers, noise schedules (sigmas) and noise sources.

* ``custom``: sampling from separate parts.
* ``flow_schedules``: noise schedules of flow models.
* ``ksampler``: all of sampling in one node.
* ``model_schedules``: noise schedules from a model's own levels.
* ``noise``: noise sources.
* ``sample``: one run of sampling, with progress and previews.
* ``samplers``: choose a sampler and its options.
* ``schedules``: noise schedules from formulas.
* ``sigmas``: write, split and change noise schedules.
* ``tables``: published tables of noise schedules.
"""

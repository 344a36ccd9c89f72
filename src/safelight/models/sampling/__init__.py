"""Sampling: from noise to a latent by a network that removes noise. Knows no files, no families, no nodes.

``parameterization`` says what a network was trained to predict, ``schedules`` which noise levels to visit, ``noise``
where randomness comes from, ``samplers`` how to step, ``guidance`` how conditionings become one prediction, and
``run`` puts these together.
"""

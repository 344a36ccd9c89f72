"""Samplers: how to step from noise to a latent.

* ``dpm_solver``: DPM-Solver with fixed and adaptive steps.
* ``multistep``: samplers that extrapolate from previous steps.
* ``one_step``: samplers that use only the current step.
* ``sampling_context``: the input of a sampler.
* ``stochastic``: solvers of the reverse stochastic equation.
* ``table``: samplers by name.
"""

"""ControlNet (Zhang et al. 2023): ``module`` is its network, ``value`` what travels on CONTROL_NET links."""

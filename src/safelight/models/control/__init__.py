"""Networks that guide a UNet by an image: ControlNet (Zhang et al. 2023) and T2I-Adapter (Mou et al. 2023).

* ``adapter``: the network of T2I-Adapter.
* ``control_network``: the value on CONTROL_NET links, and controls in a conditioning.
* ``controlnet_module``: the network of ControlNet.
"""

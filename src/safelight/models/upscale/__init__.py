"""Networks that enlarge images.

* ``upscaler``: the value on UPSCALE_MODEL links.
* ``upscaler_module``: the networks of ESRGAN, Real-ESRGAN and its compact variant.
"""

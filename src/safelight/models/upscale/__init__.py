"""Networks that enlarge images.

* ``miniature_files``: miniature weights.
* ``upscaler``: the value on UPSCALE_MODEL links.
* ``upscaler_module``: the networks of ESRGAN, Real-ESRGAN and its compact variant.
"""

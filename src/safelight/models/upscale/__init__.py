"""Networks that enlarge images and latents.

* ``latent_upsampler``: networks that enlarge latents of LTX models.
* ``miniature_files``: miniature weights.
* ``upscaler``: the value on UPSCALE_MODEL links.
* ``upscaler_module``: the networks of ESRGAN, Real-ESRGAN and its compact variant.
"""

"""Image encoders, for conditioning by images.

* ``miniature_files``: miniature weights.
* ``style``: style models, from image features to tokens.
* ``vision_encoder``: the values on CLIP_VISION and CLIP_VISION_OUTPUT links.
* ``vision_module``: the networks of CLIP and SigLIP.
"""

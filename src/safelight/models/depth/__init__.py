"""Depth from a single picture.

* ``depth_estimator``: the value on DA3_MODEL links.
* ``dino_module``: the image encoder DINOv2.
* ``dpt_module``: the head that makes a depth map of its features.
* ``miniature_files``: miniature weights.
"""

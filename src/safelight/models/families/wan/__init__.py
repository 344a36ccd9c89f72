"""Wan 2.1 and 2.2: text and pictures to video, first and last frame, the small model of 2.2, VACE, Fun, Phantom.

* ``blocks``: the transformer's blocks.
* ``conditioning``: embeddings, pictures and control videos as inputs of the network.
* ``controls``: control videos (VACE) and the path of a camera.
* ``family``: detection, and what is known about its members.
* ``lora_names``: the names of the network's modules in LoRA files.
* ``miniature_files``: its miniature weights.
* ``network``: the transformer.
* ``text``: UMT5 as its text encoder.
"""

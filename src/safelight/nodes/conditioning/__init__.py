"""Nodes that make, combine and limit conditionings.

* ``area``: limit to an area, a mask or a range of the steps.
* ``audio``: times for models of audio.
* ``camera``: camera movements for video models.
* ``cascade``: upscalers and second stages.
* ``combine``: combine two conditionings, or zero one.
* ``controlnet``: guide by an image through a control network.
* ``encode``: encode prompts.
* ``encode_separately``: encode a text of its own for each encoder.
* ``guidance``: options of Flux and editing models.
* ``hunyuan_video``: start videos of HunyuanVideo from pictures.
* ``ltxv``: options of LTX-Video models.
* ``ltxv_frames``: show LTX-Video models frames.
* ``minimax_h3``: films with sound by MiniMax H3.
* ``options``: conditioning as a value.
* ``prompts``: encode prompts for one family.
* ``properties``: set mask, steps and hooks in one node.
* ``qwen_image21``: prompts with references, and the cache, of Qwen-Image 2.1.
* ``reference_pictures``: show editing models several pictures.
* ``stored``: conditionings that were encoded before.
* ``tracks``: motion paths for video models.
* ``video_frames``: frames that start a video.
* ``vision``: condition on images.
* ``wan_controls``: guide videos of Wan by videos, masks, cameras and subjects.
* ``wan_pictures``: start videos of Wan from pictures.
"""

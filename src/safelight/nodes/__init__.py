"""The node library, by domain. The registry (``sdk/registry.py``) searches every module below for nodes.

* ``audio/``: load, cut, mix and save audio.
* ``conditioning/``: encode prompts; combine and limit conditionings.
* ``dataset/``: prepare images for training.
* ``files/``: load, save and show images, latents, drawings and texts.
* ``image/``: scale, crop, batch, blend and filter images.
* ``latent/``: create, change and combine latents; encode and decode images.
* ``loaders/``: load models from files.
* ``logic/``: values, switches and calculations.
* ``mask/``: masks and alpha channels.
* ``model/``: change how a model samples; hooks, merging and saving.
* ``sampling/``: samplers, noise schedules and noise sources.
* ``text/``: build, change and show text.
* ``video/``: load, cut and save videos.
"""

"""Nodes that create, change and combine latents, and convert between images and latents.

* ``arithmetic``: add, mix and multiply.
* ``audio``: encode and decode audio with a VAE.
* ``audio_video``: latents of a video with its audio.
* ``autoencoder``: encode and decode images with a VAE.
* ``batch``: combine latents into batches.
* ``bislerp``: resize by spherical interpolation.
* ``composite``: paste one latent into another; inpainting masks.
* ``empty``: create image latents.
* ``empty_video``: create video and audio latents.
* ``normalize``: match the start of a video to the rest.
* ``operations``: operations as values.
* ``samples``: latents as values.
* ``transform``: rotate, mirror, crop and join.
* ``upscale``: scale width and height.
* ``upscale_with_model``: enlarge latents with a network.
* ``zeros``: zero tensors within the size limit.
"""

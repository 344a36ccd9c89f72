"""Autoencoders between images, videos or audio, and latents (VAE).

* ``audio_autoencoder``: the value on VAE links for autoencoders of audio.
* ``autoencoder_module``: the network of latent diffusion's autoencoder.
* ``bandwidth_module``: the vocoder of LTX-2.3.
* ``film``: the frames of a video, decoded when they are read.
* ``h3_audio_module``: the autoencoder of MiniMax H3's sound.
* ``h3_autoencoder``: the values on VAE links for MiniMax H3.
* ``h3_video_module``: the autoencoder of MiniMax H3's films.
* ``hunyuan_video_module``: the causal autoencoder of HunyuanVideo 1.5.
* ``image_autoencoder``: the value on VAE links.
* ``ltx_audio_autoencoder``: the value on VAE links for the audio of LTX-2.
* ``ltx_autoencoder``: the value on VAE links for LTX-Video and LTX-2.
* ``ltx_blocks``: the blocks of LTX-Video's autoencoder.
* ``ltx_module``: the autoencoder of LTX-Video and LTX-2.
* ``mel``: spectrograms on the mel scale.
* ``oobleck_module``: the autoencoder of Stable Audio and ACE-Step 1.5.
* ``qwen_image21_module``: the autoencoder of Qwen-Image 2.1.
* ``spectrogram_module``: the autoencoder of LTX-2 for spectrograms.
* ``tiles``: process large planes in overlapping tiles.
* ``tiny``: the network of tiny autoencoders (TAESD).
* ``video_autoencoder``: the value on VAE links for autoencoders of videos.
* ``vocoder_module``: from spectrograms to waveforms.
* ``wan22_module``: the causal autoencoder of Wan 2.2's small model.
* ``wan_latents``: the latents of both.
* ``wan_module``: the causal autoencoder of Wan 2.1 and Qwen-Image.
"""

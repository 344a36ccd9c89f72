"""Neural networks: how their files are read and how they run. Uses torch; knows no nodes.

* ``autoencoder/``: the autoencoders between images and latents (VAE).
* ``cancellation``: cancel a job between the blocks of a network.
* ``checkpoint``: load checkpoints, diffusion models, text encoders and autoencoders from files.
* ``clip_layer``: the transformer layer that CLIP's text and image encoders share.
* ``control/``: ControlNets and T2I-Adapters.
* ``data/``: data files: the vocabulary of CLIP's tokenizer.
* ``depth/``: depth from a single picture.
* ``diffusion_model``: the value on MODEL links.
* ``families/``: the model families: detection, and what is specific to each.
* ``fitting``: bring planes to a size.
* ``frames/``: frames between frames.
* ``inputs``: what conditions a network, batched and cropped without a look inside.
* ``language/``: decoder language models.
* ``latent_format``: channels, scale and preview colors of latents.
* ``lora/``: LoRA files of every common dialect.
* ``merging``: merge the weights of two models.
* ``miniatures/``: small random weights in the true layouts.
* ``nested``: several latents that are denoised together.
* ``network``: the interface of a diffusion network.
* ``network_hooks``: hooks into a running network, and what control networks add.
* ``offload``: networks larger than the memory of their device.
* ``operations``: linear layers and convolutions with packed weights.
* ``precision``: the number types that networks compute in.
* ``quant/``: quantised weights.
* ``residency``: the networks in memory.
* ``sampling/``: from noise to a latent.
* ``saving``: save models to files.
* ``stored_network``: a network whose weights are in files.
* ``text/``: text encoders.
* ``tokenizers/``: tokenizers of T5 and of language models.
* ``transformer/``: blocks that diffusion transformers share.
* ``unet/``: the UNet of latent diffusion.
* ``upscale/``: networks that enlarge images.
* ``vision/``: image encoders and style models.
* ``vision_tower/``: the image encoders of language models.
* ``weight_hooks``: weight changes for some conditionings only.
* ``weight_layers``: weight changes as immutable layers.
* ``weights``: the tensors of files, under canonical names.
"""

"""Model families. Each is a folder, registered by the name of the folder in :mod:`registry`.

A family's module ``family`` has one value, ``FAMILY`` (:class:`safelight.models.families.family.Family`): how its files
are told from their headers, and which text encoders it takes. What it finds in a file is a
:class:`safelight.models.families.family.Variant`: the network's architecture, the parameterization of sampling, the
latent format, the conversion of conditioning to :class:`safelight.models.inputs.Inputs`, and the names of its modules
in LoRA files. Nothing outside of the folder knows the family. The protocols that a folder implements:

* :class:`safelight.models.stored_network.Architecture`: builds a module that is called as
  :class:`safelight.models.network.Predict`, ``(x, timestep, inputs)``.
* :class:`safelight.models.stored_network.ConditioningAdapter`: an entry's embeddings and options to inputs.
* :class:`safelight.models.text.recipe.EncoderRecipe`: one text encoder as the family uses it; the kinds of encoder
  files are in :data:`safelight.models.text.encoder_files.ENCODER_FILES`.

* ``anima/``: Anima.
* ``chroma/``: Chroma.
* ``family``: what is known about a family and about the network in a file.
* ``flux/``: FLUX.1.
* ``flux2/``: FLUX.2.
* ``flux3/``: FLUX.3.
* ``hidream/``: HiDream.
* ``hunyuan_video/``: HunyuanVideo 1.5.
* ``krea2/``: Krea 2.
* ``lumina/``: Lumina Image 2 and Z-Image.
* ``ltx/``: LTX-Video and LTX-2.
* ``minimax_h3/``: MiniMax H3.
* ``qwen_image/``: Qwen-Image and its editors.
* ``qwen_image21/``: Qwen-Image 2.1.
* ``registry``: detect the family of a file, and find the text encoders of a type.
* ``sd3/``: Stable Diffusion 3 and 3.5.
* ``stable_audio/``: Stable Audio Open.
* ``stable_diffusion/``: Stable Diffusion 1, 2 and XL, and the bundled model.
* ``wan/``: Wan 2.1 and 2.2.
"""

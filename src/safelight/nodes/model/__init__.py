"""Nodes that change how a model samples, and that merge and save models.

* ``attention``: scale attention weights.
* ``attention_backend``: how a model attends: the implementation, and to how much of a long film.
* ``caching``: leave out evaluations of the network.
* ``freeu``: FreeU.
* ``guidance``: change how predictions are combined.
* ``guidance_direction``: change the direction or magnitude of guidance.
* ``hooks``: LoRAs and models for some conditionings only.
* ``merge``: merge two models.
* ``model_patch``: guide a transformer by images between its blocks.
* ``sampling``: set how a model was trained.
* ``save``: save models to files.
* ``skip_layers``: guidance by leaving out blocks of a transformer.
* ``token_reduction``: cheaper self-attention at large sizes.
* ``unet_only``: nodes that work with UNets only.
"""

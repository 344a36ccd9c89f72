"""Nodes that load, save and show images, latents, drawings and texts.

* ``input_file``: a file that a user chose in a combo.
* ``latent_file``: save and load latents.
* ``load_image``: load images and masks.
* ``pixels``: convert between tensors and arrays.
* ``save_animation``: save animated WebP and PNG.
* ``save_image``: save PNG.
* ``save_image_advanced``: save PNG, OpenEXR and AVIF with options.
* ``save_text``: save text.
* ``send_image``: send images through the WebSocket.
* ``show_image``: show images on the node.
* ``svg``: save vector drawings.
"""

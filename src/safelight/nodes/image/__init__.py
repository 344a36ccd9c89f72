"""Nodes for images, and the arithmetic that they share.

* ``adjust``: invert, noise, blend, YUV.
* ``batch``: combine images into batches.
* ``canny``: find edges.
* ``color``: parse colors.
* ``color_transfer``: the methods of color transfer.
* ``composite``: paste one image onto another.
* ``compression``: add video compression artifacts.
* ``depth``: depth from single pictures.
* ``filters``: blur, sharpen, morphology.
* ``geometry``: crop, rotate and mirror.
* ``layout``: stitch and pad.
* ``marigold``: the predictions of Marigold v2 as pictures.
* ``painter``: paint on a canvas.
* ``quantize``: reduce colors.
* ``region``: crop to a drawn rectangle.
* ``resampling``: resize tensors.
* ``resize``: resize an image or a mask in one of eight ways.
* ``scaling``: scale to a size, by a factor, or to a number of pixels.
* ``size_limit``: the maximum size of a tensor that a prompt can request.
* ``source``: create images, and report their size.
* ``statistics``: histogram and color transfer.
* ``subject``: crop to what a mask shows.
* ``tiles``: split into tiles and merge them.
* ``upscale_model``: enlarge with a network.
"""

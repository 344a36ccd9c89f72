"""Quantised weights: recognised in the header of a file, kept as stored, dequantised for one layer at a time.

* ``block_scales``: the order in which files store the scales of 4-bit and 8-bit blocks.
* ``formats``: the formats of safetensors files, and how each is dequantised.
* ``ggml_blocks``: the formats of GGUF files.
* ``ggml_encoding``: encode the formats of GGUF files.
* ``ggml_file``: the tensors of a GGUF file, and a writer of such files.
* ``layers``: linear layers and embeddings with quantised weights.
* ``markers``: which weights of a safetensors file are quantised, and how.
* ``quantizing``: quantise weights to the formats of safetensors files.
* ``rotation``: the rotation of weights before they are rounded.
* ``stored``: the interface of a format, and a quantised weight of a file.
"""

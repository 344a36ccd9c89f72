"""Tokenizers of text encoders and language models, from data in this package, in a model's file or beside it.

* ``byte_pairs``: byte-level byte-pair tokenizers: Qwen's, and those of tekken files.
* ``finding``: the tokenizer that belongs to a file.
* ``json_file``: tokenizers in files of Hugging Face's format.
* ``sentence_pieces``: tokenizers of SentencePiece models.
* ``tokenizer``: the interface.
"""

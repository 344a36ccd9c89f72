"""Data files: the vocabularies of tokenizers, and an encoded prompt."""

"""Data files: the vocabulary of CLIP's tokenizer."""

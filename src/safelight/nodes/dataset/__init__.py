"""Nodes that prepare many images for training: cropping, sorting out, shuffling, bucketing."""

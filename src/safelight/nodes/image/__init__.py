"""Nodes for images: scaling, cropping, batching, blending, filters. The maths that they share stands beside them."""

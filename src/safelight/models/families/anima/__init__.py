"""Anima (CircleStone Labs 2026): the transformer of Cosmos-Predict2 (NVIDIA 2025) with an adapter for its text.

* ``conditioning``: the prompt's embeddings and tokens as inputs of the network.
* ``family``: detection, and what is known about it.
* ``miniature_files``: its miniature weights.
* ``model_patch``: LLLite controls, which change what enters some of the layers.
* ``network``: the transformer.
* ``text``: the prompt as states of Qwen3 0.6B and as tokens of T5.
* ``text_adapter``: from the two to the embeddings that the transformer attends to.
"""

"""Decoder language models, as text encoders and to write text.

* ``architecture``: what is known about each architecture, and what its weights show.
* ``cache``: the keys and values of tokens seen.
* ``chat``: how each language model is addressed.
* ``decoder``: the network.
* ``file_names``: the weights of language models and T5 in files.
* ``gated_delta``: linear attention by the gated delta rule.
* ``miniature_files``: miniature weights of the models that only write.
* ``picture_recipe``: language models that see pictures in a prompt.
* ``question_recipe``: language models that are loaded only to write.
* ``recipe``: language models as text encoders.
* ``rotary``: rotary position embeddings with one or three axes.
* ``token_choice``: choose the next token from a model's scores.
* ``writer``: write text with a language model.
"""

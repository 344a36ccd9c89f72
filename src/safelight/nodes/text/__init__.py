"""Nodes that build, change and show text.

* ``camera_angle``: a point of view in words.
* ``generate``: write text with a language model.
* ``layout_prompt``: add boxes to a prompt.
* ``limits``: the maximum length of a text.
* ``lists``: lists of texts.
* ``ltx_prompt``: write prompts for LTX-2.
* ``patterns``: regular expressions with a time limit.
* ``preview``: show any value as text.
* ``regex``: match, extract and replace with regular expressions.
* ``string``: join, cut, replace and compare a text.
* ``structure``: JSON and templates.
"""

"""Nodes for audio.

* ``edit_audio``: cut, join and mix.
* ``load_audio``: load, record, and create silence.
* ``save_audio``: save and play.
* ``waveform``: the value of type AUDIO.
"""

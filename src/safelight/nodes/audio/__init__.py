"""Nodes for audio.

* ``edit_audio``: cut, join and mix.
* ``load_audio``: load, record, and create silence.
* ``ltxv``: the audio of LTX-2.
* ``save_audio``: save and play.
* ``waveform``: the value of type AUDIO.
"""

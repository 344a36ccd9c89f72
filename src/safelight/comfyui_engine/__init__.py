"""A ComfyUI as an engine: ``python -m safelight.comfyui_engine --fd N --parent PID --server PID``.

The process reads its configuration from the pipe, confines itself as Safelight's own engine does, and then executes
the interpreter and the ``main.py`` of an operator's ComfyUI, with the agent as one more node pack. The pipe stays open:
from then on the agent speaks on it.

* ``agent/``: the part that runs inside ComfyUI, with ComfyUI's interpreter.
* ``digests``: a process beside ComfyUI that computes digests of files.
* ``launch``: from the configuration to the running ComfyUI.
* ``slot_folder``: the folders of one slot, and the file that tells ComfyUI where models are.
"""

"""The agent inside a ComfyUI. ComfyUI imports this folder as a node pack, with its own interpreter: nothing here
imports Safelight, or anything but the standard library and what ComfyUI itself has.

* ``agent``: what is replaced in ComfyUI, and the messages of the server.
* ``cache_salt``: keeps ComfyUI's caches apart for each owner.
* ``catalogue``: nodes as the server's declarations of nodes.
* ``codec``: msgpack, and frames of the pipe.
* ``device``: versions, devices and memory of this process.
* ``digest_client``: digests and types of files, from the process beside this one.
* ``events``: what ComfyUI tells of a running prompt, as events of calls.
* ``failure``: what ComfyUI says of a failed prompt, as the error of a job.
* ``file_names``: the owner's numbers for files that nodes number themselves.
* ``job_folders``: the folders of one job's files.
* ``job_runner``: runs one job after another in ComfyUI's queue.
* ``kept_results``: files that cached results name, and whether they still exist.
* ``lease``: ends this process when the server is silent.
* ``model_combos``: which combos list the files of a model folder.
* ``outbox``: messages on their way to the server.
* ``outputs``: finds the files that nodes write.
* ``pack_routes``: HTTP routes of node packs.
* ``packs``: the node packs of this ComfyUI.
* ``pictures``: pictures that ComfyUI sends to web clients.
* ``prestartup_script``: run by ComfyUI before it imports node packs.
* ``printed_lines``: what nodes print, as log lines of their job.
* ``running_job``: the attempt that this process works on.
* ``surfaces``: the parts of ComfyUI that are used, found by asking what is there.
* ``validation``: ComfyUI's validation of prompts.
* ``warm_models``: which model files are loaded.
"""

import json
import os
from typing import Any

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
"""The agent has no nodes; without this name, ComfyUI says that it is not a pack."""
START = "SAFELIGHT_AGENT"
"""The variable in which the launcher passes on what the agent needs to begin, as JSON."""


def _start() -> None:
    given = os.environ.pop(START, None)
    if given is None:
        return
    from .agent import Agent, Start
    from .surfaces import Surfaces, UnusableError

    try:
        Agent(Start(**json.loads(given)), Surfaces())
    except UnusableError as error:
        os.write(2, f"this ComfyUI cannot be an engine: {error}\n".encode())
        os._exit(1)


_start()

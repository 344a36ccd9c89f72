"""The states of a prompt's nodes, sent whole with each change."""

from enum import Enum


class NodeState(Enum):
    Running = "running"
    Finished = "finished"


class Progress:
    def __init__(self, prompt_id, dynprompt, server):
        self.prompt_id, self.dynprompt, self._server = prompt_id, dynprompt, server
        self._nodes = {}

    def start_progress(self, node_id):
        self._set(node_id, NodeState.Running, 0.0, 1.0)

    def update_progress(self, node_id, value, total, picture=None):
        self._set(node_id, NodeState.Running, value, total)
        if picture is not None:
            self._server.send_sync(4, (picture, {"node_id": node_id, "prompt_id": self.prompt_id}))

    def finish_progress(self, node_id):
        total = self._nodes[node_id]["max"] if node_id in self._nodes else 1.0
        self._set(node_id, NodeState.Finished, total, total)

    def _set(self, node_id, state, value, total):
        self._nodes[node_id] = {"value": value, "max": total, "state": state.value, "node_id": node_id}
        self._server.send_sync("progress_state", {"prompt_id": self.prompt_id, "nodes": dict(self._nodes)})


_progress = None


def begin(prompt_id, dynprompt, server):
    global _progress
    _progress = Progress(prompt_id, dynprompt, server)


def get_progress_state():
    return _progress

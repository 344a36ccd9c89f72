"""What ComfyUI tells its web clients while a prompt runs, as the events that Safelight's messages have.

ComfyUI sends an event by its name and a map, or by a number and bytes or pictures. Names are asked for, never versions:
where ``progress_state`` is sent it says when a node has ended; where it is not, the next node's ``executing`` does.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import pictures
from .codec import is_finite, plain
from .job_folders import FileName
from .kept_results import KeptResults
from .outputs import Collected, Outputs
from .running_job import RunningJob
from .surfaces import Surfaces

TEXT = 3
"""The number of the event of a text."""
_PICTURES = (pictures.ENCODED, pictures.PIL, pictures.PIL_WITH_NODE)
_BLOCKED = "Execution Blocked: "

Event = Mapping[str, Any]
_Call = dict[str, Any]
"""A call as messages name it: ``id``, ``display_id``, ``parent_id``, ``real_id``."""


@dataclass
class _Written:
    """What a call has written and shown: see :class:`~.outputs.Collected`."""

    files: list[dict[str, Any]] = field(default_factory=list)
    unnamed: list[FileName] = field(default_factory=list)
    names: dict[FileName, FileName] = field(default_factory=dict)


class JobEvents:
    """Mutable: what has been reported of one job. All methods are called by the thread that runs nodes, except for the
    messages of threads that nodes have started."""

    def __init__(
        self, job: RunningJob, surfaces: Surfaces, outputs: Outputs, kept: KeptResults, ancestry: Mapping[str, str]
    ) -> None:
        self._job = job
        self._surfaces = surfaces
        self._outputs = outputs
        self._kept = kept
        self._ancestry = ancestry
        self._running: dict[str, _Call] = {}
        self._finished: set[str] = set()
        self._written: dict[str, _Written] = {}
        self._steps: dict[str, tuple[Any, Any]] = {}
        self._has_states = False
        self._active: _Call | None = None
        """The call that began last and has not ended."""
        self._latest: _Call | None = None
        self.cached: list[str] = []
        self.executed: list[str] = []
        self.error: Event | None = None
        self.is_interrupted = False

    def received(self, event: Any, data: Any) -> None:
        """Report an event. Those that only ComfyUI's own clients need are dropped."""
        if event in _PICTURES:
            self._picture(event, data)
        elif event == TEXT:
            self._text(data)
        elif event in _NAMED:
            _NAMED[event](self, data)
        elif isinstance(event, str) and event not in _DROPPED:
            call = self._call(self._surfaces.running_node) or self._active or self._call(next(iter(self._job.targets)))
            self._job.outbox.post(self._job.report("MessageSent", call=call, name=event, data=plain(data)))

    def finish(self) -> None:
        """The prompt has ended: report what is left."""
        for node_id in list(self._running):
            self._settle(node_id)
        self._running.clear()
        if self._latest is not None:
            self._find_unnamed(self._latest)

    @property
    def active_call(self) -> _Call | None:
        """The call whose node runs."""
        return self._active

    @property
    def models(self) -> set[str]:
        """Texts in the inputs of the nodes that ran or were cached: names of models among them."""
        ids = {*self.executed, *self.cached}
        inputs = (self._job.prompt[node_id].get("inputs", {}) for node_id in ids if node_id in self._job.prompt)
        return {value for each in inputs for value in each.values() if isinstance(value, str)}

    # -- begin and end of calls --

    def _started(self, data: Event) -> None:
        """ComfyUI has just cleared its flag of an interrupt, which a cancel may have set before."""
        if self._job.is_cancelled:
            self._surfaces.interrupt(True)

    def _cached(self, data: Event) -> None:
        self.cached = [str(node_id) for node_id in data.get("nodes", ())]
        self._job.outbox.post(self._job.report("CallsCached", call_ids=self.cached))

    def _executing(self, data: Event) -> None:
        node_id = data.get("node")
        if node_id is None:
            return
        if self._active is not None:
            self._find_unnamed(self._active)
            if not self._has_states:
                self._end(self._active["id"])
        call = self._call(node_id)
        if call is not None:
            self._running[node_id] = self._active = self._latest = call
            self._finished.discard(node_id)
            self._job.outbox.post(self._job.report("CallStarted", call=call))

    def _states(self, data: Event) -> None:
        self._has_states = True
        for node_id, state in data.get("nodes", {}).items():
            if state.get("state") == "running" and node_id in self._running:
                self._step(node_id, state.get("value"), state.get("max"))
            elif state.get("state") == "finished" and node_id not in self._finished:
                self._end(node_id)

    def _end(self, node_id: str) -> None:
        call = self._running.get(node_id)
        if call is not None:
            self._find_unnamed(call)
            self._settle(node_id)
            self.executed.append(node_id)
            self._remember(call)
        self._finished.add(node_id)
        self._running.pop(node_id, None)
        if self._active is not None and self._active["id"] == node_id:
            self._active = None
        ended = call or self._call(node_id)
        if ended is not None:
            self._job.outbox.post(self._job.report("CallFinished", call=ended))

    def _settle(self, node_id: str) -> None:
        """Send the last progress of a call."""
        for key in (f"{node_id} preview", node_id, f"{node_id} text"):
            self._job.outbox.settle(key)

    # -- outputs --

    def _output(self, data: Event) -> None:
        node_id = data.get("node")
        call = self._call(node_id)
        if call is None or node_id is None:
            return
        if node_id in self._running:
            found = self._outputs.collect(data.get("output"), takes_unnamed=self._is_alone(node_id))
            self._note(call, found)
            self._made(call, found.output, found.files)
        else:
            names, unnamed = self._kept.shown(self._job.owner_id, self._ancestry_of(call))
            self._made(call, self._outputs.renamed(data.get("output"), names, unnamed), [], cached=True)

    def _find_unnamed(self, call: _Call) -> None:
        """Report what a node has written without an output of its own."""
        if not self._is_alone(call["id"]):
            return
        found = self._outputs.collect(None, takes_unnamed=True)
        if found.files:
            self._note(call, found)
            self._made(call, found.output, found.files)

    def _made(
        self, call: _Call, output: dict[str, Any] | None, files: Sequence[dict[str, Any]], *, cached: bool = False
    ) -> None:
        made = {"call": call, "output": output, "cached": cached}
        self._job.outbox.post(self._job.message("OutputReady", made=made, files=files))

    def _note(self, call: _Call, found: Collected) -> None:
        written = self._written.setdefault(call["id"], _Written())
        written.files += found.files
        written.unnamed += found.unnamed
        written.names.update(found.names)

    def _remember(self, call: _Call) -> None:
        written = self._written.get(call["id"], _Written())
        ancestry, files = self._ancestry_of(call), self._outputs.kept(written.files)
        self._kept.remember(self._job.owner_id, ancestry, files, unnamed=written.unnamed, names=written.names)

    def _ancestry_of(self, call: _Call) -> str:
        """The ancestry of a call of the prompt; of one inside an expansion, that of the call which the user sees, and
        its own id."""
        ancestry = self._ancestry.get(call["real_id"], "")
        return ancestry if call["id"] == call["real_id"] else f"{ancestry} {call['id']}"

    def _is_alone(self, node_id: str) -> bool:
        """Whether no coroutine of another node may be writing files."""
        return not any(other != node_id and self._is_coroutine(other) for other in self._running)

    def _is_coroutine(self, node_id: str) -> bool:
        graph = self._surfaces.dynprompt
        node = graph.get_node(node_id) if graph is not None else self._job.prompt.get(node_id, {})
        return self._surfaces.is_coroutine(node.get("class_type", ""))

    # -- progress --

    def _progressed(self, data: Event) -> None:
        if data.get("node") is not None:
            self._step(str(data["node"]), data.get("value"), data.get("max"))

    def _step(self, node_id: str, value: Any, total: Any) -> None:
        if not (is_finite(value) and is_finite(total)) or self._steps.get(node_id, (0, 1)) == (value, total):
            return
        self._steps[node_id] = (value, total)
        call = self._call(node_id)
        if call is not None:
            report = self._job.report("CallProgressed", call=call, value=plain(value), total=plain(total))
            self._job.outbox.report(node_id, lambda: [report])

    def _picture(self, event: int, data: Any) -> None:
        picture = pictures.read(event, data)
        call = self._call(picture.node_id or self._surfaces.running_node) or self._active
        if call is None:
            return

        def report() -> list[dict[str, Any]]:
            shown = {"image": picture.encode(), "mime_type": picture.mime_type}
            return [self._job.report("PreviewMade", call=call, **shown)]

        if picture.is_result:
            self._job.outbox.post(*report())
        else:
            self._job.outbox.report(f"{call['id']} preview", report)

    def _text(self, data: Any) -> None:
        """Four bytes with the length of the node's id, the id, and the text."""
        (length,) = struct.unpack_from(">I", data)
        node_id = bytes(data[4 : 4 + length]).decode("utf-8", "replace")
        call = self._call(node_id)
        if call is not None:
            text = bytes(data[4 + length :]).decode("utf-8", "replace")
            report = self._job.report("TextShown", call=call, text=text)
            self._job.outbox.report(f"{node_id} text", lambda: [report])

    # -- failures --

    def _failed(self, data: Event) -> None:
        if data.get("exception_type") != "ExecutionBlocked":
            self.error = data
            return
        call = self._call(data.get("node_id"))
        if call is not None:
            message = str(data.get("exception_message", "")).removeprefix(_BLOCKED)
            fields = {"call": call, "node_type": str(data.get("node_type", "")), "message": message}
            self._job.outbox.post(self._job.report("CallBlocked", **fields, executed=[*self.executed]))

    def _interrupted(self, data: Event) -> None:
        self.is_interrupted = True

    def _call(self, node_id: Any) -> _Call | None:
        """A call as messages name it; ``None`` without an id."""
        if node_id is None:
            return None
        node_id = str(node_id)
        if node_id in self._running:
            return self._running[node_id]
        graph = self._surfaces.dynprompt
        if graph is None:
            return {"id": node_id, "display_id": node_id, "parent_id": None, "real_id": node_id}
        parent = graph.get_parent_node_id(node_id)
        return {
            "id": node_id,
            "display_id": str(graph.get_display_node_id(node_id)),
            "parent_id": None if parent is None else str(parent),
            "real_id": str(graph.get_real_node_id(node_id)),
        }


_NAMED = {
    "execution_start": JobEvents._started,
    "execution_cached": JobEvents._cached,
    "executing": JobEvents._executing,
    "executed": JobEvents._output,
    "progress": JobEvents._progressed,
    "progress_state": JobEvents._states,
    "execution_error": JobEvents._failed,
    "execution_interrupted": JobEvents._interrupted,
}
_DROPPED = frozenset({"execution_success", "status", "logs", "feature_flags"})

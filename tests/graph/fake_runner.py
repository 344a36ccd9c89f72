"""A runner whose nodes are plain functions; records each instruction as a line."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from safelight.core.event import CallBlocked, CallEvent, CallFinished, CallsCached, CallStarted, OutputMade
from safelight.core.ids import UserId
from safelight.core.node import NodeSchema
from safelight.graph import instructions as do
from safelight.graph.cache import Cache, NoCache
from safelight.graph.execution import Execution
from safelight.graph.instructions import Blocked, Event, Instruction, KeptFile, Returned

Function = Callable[..., Any]


def graph(**nodes: Any) -> dict[str, Any]:
    """``graph(a=("Load", {"name": "x"}), b=("Invert", {"image": ["a", 0]}))``. A leading ``n`` is dropped from ids, so
    that ``n1`` is the call ``1``."""
    return {
        key[1:] if key[0] == "n" and key[1:].isdigit() else key: {"class_type": name, "inputs": inputs}
        for key, (name, inputs) in nodes.items()
    }


@dataclass
class TestNode:
    """A node and its code. ``function`` receives the arguments and, if it has such a parameter, ``call`` with the set's
    index; it returns a tuple of values, a :class:`Returned` or a :class:`Blocked`."""

    __test__ = False
    schema: NodeSchema
    function: Function = lambda **arguments: ()
    lazy: Callable[..., Sequence[str]] = lambda **arguments: ()
    fingerprint: Callable[..., Any] = lambda **arguments: None
    saves: bool = False
    """Each run saves a file, ``<owner>-<call>-<number>``."""
    waits: bool = False
    """The call becomes pending, and is answered when no other instruction is left, the oldest first."""
    seconds: float = 0.0
    size: int = 0


@dataclass
class FakeRunner:
    """``play`` runs a prompt to its end. ``before`` sees each instruction and can return an event to feed first."""

    nodes: Mapping[str, TestNode]
    cache: Cache = field(default_factory=NoCache)
    files: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """Files that the owner has deleted."""
    saved: list[str] = field(default_factory=list)
    finish: do.Finish | None = None
    before: Callable[[Instruction], Event | None] = lambda instruction: None
    choose: Callable[[int], int] = lambda count: 0
    """Choose which of ``count`` pending calls is answered next."""
    after_cancel: list[Instruction] = field(default_factory=list)
    """The instructions after a cancel."""

    def play(self, prompt: Mapping[str, Any], *targets: str, owner: str = "ann") -> list[str]:
        catalogue = {name: node.schema for name, node in self.nodes.items()}
        self.lines, self.ran, self.finish, self.after_cancel = [], [], None, []
        self.owner = owner
        execution = Execution(
            prompt,
            catalogue,
            targets=targets,
            cache=self.cache,
            owner=UserId(owner),
            file_digest=self.files.get,
        )
        pending: list[do.RunCall] = []
        is_cancelled = False

        def feed(event: Event) -> list[Instruction]:
            nonlocal is_cancelled
            is_cancelled = is_cancelled or isinstance(event, do.CancelRequested)
            instruction = execution.feed(event)
            self.after_cancel += instruction if is_cancelled else []
            return instruction

        todo = feed(do.Start())
        while todo or pending:
            if not todo:
                todo = feed(self._run(pending.pop(self.choose(len(pending)))))
                continue
            instruction = todo.pop(0)
            interruption = self.before(instruction)
            if interruption is not None:
                todo += feed(interruption)
            self._write(instruction)
            answer = self._answer(instruction, pending)
            if answer is not None:
                todo += feed(answer)
        assert execution.is_finished, "the execution stopped without a Finish"
        return self.lines

    def _answer(self, instruction: Instruction, pending: list[do.RunCall]) -> Event | None:
        if isinstance(instruction, do.Fingerprint):
            values = [self.nodes[instruction.node].fingerprint(**s.arguments) for s in instruction.sets]
            return do.FingerprintComputed(instruction.call.id, values)
        if isinstance(instruction, do.CheckFiles):
            return do.FilesChecked(
                instruction.number, [file for file in instruction.files if file.filename in self.gone]
            )
        if isinstance(instruction, do.CheckLazy):
            names = {name for s in instruction.sets for name in self.nodes[instruction.node].lazy(**s.arguments)}
            return do.LazyChecked(instruction.call.id, sorted(names))
        if isinstance(instruction, do.AbortCall):
            pending[:] = [p for p in pending if p.call.id != instruction.call.id]
            return do.CallAborted(instruction.call.id)
        if isinstance(instruction, do.Finish):
            self.finish = instruction
        if isinstance(instruction, do.RunCall):
            if self.nodes[instruction.node].waits:
                pending.append(instruction)
                return do.CallPending(instruction.call.id)
            return self._run(instruction)
        return None

    def _run(self, instruction: do.RunCall) -> Event:
        node = self.nodes[instruction.node]
        results = []
        self.ran.append(instruction.call.id)
        for arguments in instruction.sets:
            try:
                result = self._invoke(node, instruction, arguments)
            except Exception as error:
                return do.CallRaised(instruction.call.id, type(error).__name__, str(error), ("trace",))
            results.append(result if isinstance(result, Returned | Blocked) else Returned(result))
        return do.CallReturned(
            instruction.call.id, results, node.size, node.seconds, self._save(instruction) if node.saves else ()
        )

    def _save(self, instruction: do.RunCall) -> list[KeptFile]:
        self.saved.append(f"{self.owner}-{instruction.call.id}-{len(self.saved) + 1}")
        return [KeptFile("output", "", self.saved[-1], "digest")]

    def _invoke(self, node: TestNode, instruction: do.RunCall, arguments: do.ArgumentSet) -> Any:
        if "call" in node.function.__code__.co_varnames[: node.function.__code__.co_argcount]:
            return node.function(call=f"{instruction.call.id}.{arguments.index}.0", **arguments.arguments)
        return node.function(**arguments.arguments)

    def _write(self, instruction: Instruction) -> None:
        self.lines.append(written(instruction))


def written(instruction: Instruction) -> str:
    if isinstance(instruction, do.Report):
        return _reported(instruction.event)
    if isinstance(instruction, do.RunCall):
        return f"run {instruction.call.id} " + " ".join(_arguments(s.arguments) for s in instruction.sets)
    if isinstance(instruction, do.CheckLazy):
        return f"lazy {instruction.call.id} " + " ".join(_arguments(s.arguments) for s in instruction.sets)
    if isinstance(instruction, do.Fingerprint):
        return f"fingerprint {instruction.call.id} " + " ".join(_arguments(s.arguments) for s in instruction.sets)
    if isinstance(instruction, do.CheckFiles):
        return " ".join(["files", *(file.filename for file in instruction.files)])
    if isinstance(instruction, do.AbortCall):
        return f"abort {instruction.call.id}"
    return f"end {instruction.outcome.value}" + (
        f" {instruction.error.node_id} {instruction.error.exception_message}" if instruction.error else ""
    )


def _reported(event: CallEvent) -> str:
    match event:
        case CallsCached(call_ids):
            return " ".join(["cached", *call_ids])
        case CallStarted(call):
            return f"start {call.id}"
        case CallFinished(call):
            return f"finish {call.id}"
        case OutputMade(call, shown, cached):
            return f"output {call.id} {_value(shown)}" + (" cached" if cached else "")
        case CallBlocked(call, _, message):
            return f"blocked {call.id} {message}"
    raise AssertionError(event)


def _arguments(arguments: Mapping[str, Any]) -> str:
    return "(" + " ".join(f"{name}={_value(value)}" for name, value in sorted(arguments.items())) + ")"


def _value(value: Any) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, Mapping):
        return "{" + " ".join(f"{k}={_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_value(v) for v in value) + "]"
    return str(value)

"""One call of a node: the method to call, the hidden values that it declared, and the invocation.

A node is a class of the ``sdk`` or an adapted V1 class. The former receives its hidden values as ``cls.hidden``, on a
subclass made for that call; a V1 node is an object and receives them as keyword arguments. Both may be coroutines.
"""

import asyncio
import contextvars
import inspect
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safelight.core.event import NodeCall
from safelight.core.node import NodeSchema, Section
from safelight.graph.instructions import ArgumentSet, Blocked, Returned
from safelight.runtime.call_context import CallContext
from safelight.runtime.inference import inference_mode
from safelight.runtime.results import normalise
from safelight.sdk import context as sdk_context
from safelight.sdk import expand
from safelight.sdk.in_pieces import with_whole_values
from safelight.sdk.node import Hidden, Node
from safelight.sdk.v1 import V1Node

MAX_OBJECTS = 1000
"""Maximum number of objects of V1 nodes that are kept, the most recently used."""

Work = Coroutine[Any, Any, Any]


class V1Objects:
    """The objects of V1 nodes, one per owner, call id and class: they may keep state between jobs. Mutable."""

    def __init__(self) -> None:
        self._objects: OrderedDict[tuple[str, str, type], Any] = OrderedDict()

    def get(self, owner: str, call_id: str, source: type) -> Any:
        key = (owner, call_id, source)
        if key not in self._objects:
            self._objects[key] = source()
        self._objects.move_to_end(key)
        while len(self._objects) > MAX_OBJECTS:
            self._objects.popitem(last=False)
        return self._objects[key]

    def clear(self) -> None:
        self._objects.clear()


@dataclass(frozen=True)
class BoundCall:
    """A node with everything that one call needs. ``hidden``: hidden values by their ids in the schema."""

    node: type[Node]
    schema: NodeSchema
    call: NodeCall
    context: CallContext
    hidden: Mapping[str, Any]
    v1_object: Any = None

    def run(self, sets: Sequence[ArgumentSet]) -> "list[Returned | Blocked] | Work":
        """Return the result of each set; for a coroutine, the work that produces them for all sets together."""
        method = self._method("execute", "")
        return self._map(method, sets, lambda result: normalise(result, self.schema))

    def check_lazy(self, sets: Sequence[ArgumentSet], missing: Sequence[str]) -> "list[Any] | Work":
        """Return the lazy inputs that the node needs, a list for each set; all missing ones if it has no such
        method."""
        method = self._method("check_lazy_status", "check_lazy_status")
        if method is None:
            return [list(missing)]
        return self._map(method, sets, lambda names: list(names or ()))

    def fingerprint(self, sets: Sequence[ArgumentSet]) -> "list[Any] | Work":
        method = self._method("fingerprint_inputs", "IS_CHANGED", on_class=True)
        return self._map(method, sets, lambda value: value) if method is not None else [math.nan]

    def validate(self, arguments: Mapping[str, Any]) -> "list[Any] | Work":
        """Return ``[True]``, or what the node returned instead."""
        method = self._method("validate_inputs", "VALIDATE_INPUTS", on_class=True)
        assert method is not None
        return self._map(method, [ArgumentSet(0, arguments)], lambda value: value, hidden=False)

    def _method(self, name: str, v1_name: str, *, on_class: bool = False) -> Callable[..., Any] | None:
        if issubclass(self.node, V1Node):
            holder = self.node.source if on_class else self.v1_object
            return getattr(holder, v1_name or self.node.source.FUNCTION, None)
        if not any(i.section is Section.HIDDEN for i in self.schema.inputs):
            return getattr(self.node, name, None)
        values = Hidden(**{i.type.lower(): self.hidden[i.id] for i in self.schema.section(Section.HIDDEN)})
        return getattr(type(self.node.__name__, (self.node,), {"hidden": values}), name, None)

    def _map(
        self,
        method: Callable[..., Any] | None,
        sets: Sequence[ArgumentSet],
        read: Callable[[Any], Any],
        *,
        hidden: bool = True,
    ) -> "list[Any] | Work":
        assert method is not None
        extra = self._extra() if hidden and issubclass(self.node, V1Node) else {}
        results: list[Any] = []
        for position, item in enumerate(sets):
            context = contextvars.copy_context()
            result = context.run(self._invoke, method, item, extra)
            if inspect.isawaitable(result):
                return self._gather(method, [(context, result)], sets[position + 1 :], extra, results, read)
            results.append(read(result))
        return results

    def _invoke(self, method: Callable[..., Any], item: ArgumentSet, extra: Mapping[str, Any]) -> Any:
        self.context.raise_if_cancelled()
        sdk_context.enter(self.context)
        expand.enter(expand.Origin(self.call.id, item.index))
        with inference_mode():
            return method(**with_whole_values(item.arguments, besides=self.node.reads_in_pieces), **extra)

    async def _gather(
        self,
        method: Callable[..., Any],
        begun: list[tuple[contextvars.Context, Awaitable[Any]]],
        rest: Sequence[ArgumentSet],
        extra: Mapping[str, Any],
        done: list[Any],
        read: Callable[[Any], Any],
    ) -> list[Any]:
        """Run the sets of an async node concurrently; the first exception cancels the others."""
        for item in rest:
            context = contextvars.copy_context()
            begun.append((context, context.run(self._invoke, method, item, extra)))
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(_awaited(work), context=context) for context, work in begun]
        try:
            results = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return [*done, *(read(result) for result in results)]

    def _extra(self) -> Mapping[str, Any]:
        """Return the hidden values as keyword arguments; in lists of one for an ``INPUT_IS_LIST`` node."""
        if self.schema.input_is_list:
            return {name: [value] for name, value in self.hidden.items()}
        return self.hidden


async def _awaited(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except SystemExit as error:
        # asyncio passes SystemExit on to the caller of the loop, which would end the loop.
        raise RuntimeError(f"the node called sys.exit({error.code!r})") from error

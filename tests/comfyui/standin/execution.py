"""Runs prompts: one node after another, sources first."""

import asyncio
import copy
import heapq
import inspect
import threading
import traceback
from typing import Any, NamedTuple

from comfy import model_management
from comfy_execution import progress
from comfy_execution.caching import Cache, CacheKeySetID, CacheKeySetInputSignature
from comfy_execution.graph import DynamicPrompt, ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder
from comfy_execution.utils import running

import nodes


class Status(NamedTuple):
    status_str: str
    completed: bool
    messages: list


class CacheEntry(NamedTuple):
    ui: Any
    outputs: Any


class PromptQueue:
    def __init__(self):
        self.queue, self.currently_running, self.history, self.flags = [], {}, {}, {}
        self._changed = threading.Condition()
        self._count = 0

    def put(self, item):
        with self._changed:
            heapq.heappush(self.queue, item)
            self._changed.notify()

    def get(self):
        with self._changed:
            self._changed.wait_for(lambda: self.queue)
            self._count += 1
            self.currently_running[self._count] = item = heapq.heappop(self.queue)
            return item, self._count

    def task_done(self, item_id, history_result, status=None, process_item=None):
        item = self.currently_running.pop(item_id)
        self.history[item[1]] = history_result

    def delete_queue_item(self, matches):
        with self._changed:
            kept = [item for item in self.queue if not matches(item)]
            found = len(kept) < len(self.queue)
            self.queue = kept
            return found

    def delete_history_item(self, prompt_id):
        self.history.pop(prompt_id, None)

    def set_flag(self, name, value):
        self.flags[name] = value

    def take_flags(self):
        flags, self.flags = self.flags, {}
        return flags


class IsChangedCache:
    """What ``IS_CHANGED`` of each node returns."""

    def __init__(self, dynprompt):
        self.dynprompt = dynprompt
        self.is_changed = {}

    async def get(self, node_id):
        if node_id not in self.is_changed:
            node = self.dynprompt.get_node(node_id)
            cls = nodes.NODE_CLASS_MAPPINGS[node["class_type"]]
            literals = {name: value for name, value in node["inputs"].items() if not is_link(value)}
            self.is_changed[node_id] = cls.IS_CHANGED(**literals) if hasattr(cls, "IS_CHANGED") else False
        return self.is_changed[node_id]


class PromptExecutor:
    def __init__(self, server):
        self.server = server
        self.reset()

    def reset(self):
        self.outputs, self.objects = Cache(CacheKeySetInputSignature), Cache(CacheKeySetID)

    def execute(self, prompt, prompt_id, extra_data, execute_outputs):
        asyncio.run(self._execute(prompt, prompt_id, extra_data, execute_outputs))

    async def _execute(self, prompt, prompt_id, extra_data, execute_outputs):
        nodes.interrupt_processing(False)
        self.server.client_id = extra_data["client_id"]
        self.success, self.history_result = True, {"outputs": {}, "meta": {}}
        self._send("execution_start", {"prompt_id": prompt_id})
        self.run = Run(self, prompt, prompt_id, extra_data)
        await self.run.begin()
        self._send("execution_cached", {"nodes": self.run.cached, "prompt_id": prompt_id})
        try:
            for node_id in execute_outputs:
                await self.run.result(node_id)
            self._send("execution_success", {"prompt_id": prompt_id})
        except model_management.InterruptProcessingException:
            self.success = False
            self._send("execution_interrupted", {"prompt_id": prompt_id, "node_id": self.run.real_id})
        except Exception as error:
            self.success = False
            self._send("execution_error", self.run.error(error))

    def _send(self, event, data):
        self.server.send_sync(event, data, self.server.client_id)


class Run:
    """One prompt."""

    def __init__(self, executor, prompt, prompt_id, extra_data):
        self.executor, self.server, self.prompt_id, self.extra_data = executor, executor.server, prompt_id, extra_data
        self.graph = DynamicPrompt(prompt)
        self.executed, self.cached, self.real_id = [], [], ""
        self._tasks = {}

    async def begin(self):
        progress.begin(self.prompt_id, self.graph, self.server)
        changes = IsChangedCache(self.graph)
        for cache in (self.executor.outputs, self.executor.objects):
            await cache.set_prompt(self.graph, list(self.graph.original_prompt), changes)
        self.cached = [node_id for node_id in self.graph.original_prompt if self.executor.outputs.get(node_id)]

    async def result(self, node_id):
        """The outputs of a node: a list of values for each."""
        if node_id not in self._tasks:
            self._tasks[node_id] = asyncio.ensure_future(self._node(node_id))
        return await self._tasks[node_id]

    async def _node(self, node_id):
        entry = self.executor.outputs.get(node_id)
        if entry is not None:
            if getattr(self._class(node_id), "OUTPUT_NODE", False):
                self._show(node_id, (entry.ui or {}).get("output"))
                progress.get_progress_state().finish_progress(node_id)
            return entry.outputs
        node = self.graph.get_node(node_id)
        lists, waited = {}, []
        for name, value in node["inputs"].items():
            if is_link(value):
                waited.append((name, value))
            else:
                lists[name] = [value]
        for name, (source, index) in waited:
            lists[name] = (await self.result(source))[index]
        return await self._run(node_id, self._class(node_id), lists)

    async def _run(self, node_id, cls, lists):
        self.real_id = self.graph.get_real_node_id(node_id)
        self._inputs = lists
        progress.get_progress_state().start_progress(node_id)
        display_id = self.graph.get_display_node_id(node_id)
        self._send("executing", {"node": node_id, "display_node": display_id})
        nodes.before_node_execution()
        obj = self.executor.objects.get(node_id)
        if obj is None:
            obj = cls()
            self.executor.objects.set(node_id, obj)
        lists = lists | {name: [value] for name, value in self._hidden(node_id, cls).items()}
        sets = _sets(lists, takes_lists=getattr(cls, "INPUT_IS_LIST", False))
        returned = [await self._call(node_id, obj, arguments) for arguments in sets]
        uis = [one["ui"] for one in returned if isinstance(one, dict) and "ui" in one]
        ui = {key: [item for each in uis for item in each[key]] for key in uis[0]} if uis else None
        if ui is not None:
            self._show(node_id, ui)
        outputs = [await self._outputs(node_id, cls, one) for one in returned]
        merged = [[item for part in column for item in part] for column in zip(*outputs, strict=True)]
        self.executor.outputs.set(node_id, CacheEntry(ui and {"output": ui}, merged))
        progress.get_progress_state().finish_progress(node_id)
        self.executed.append(node_id)
        return merged

    async def _call(self, node_id, obj, arguments):
        for value in arguments.values():
            if isinstance(value, ExecutionBlocker):
                if value.message is not None:
                    about = {"node_id": node_id, "node_type": type(obj).__name__, "executed": self.executed}
                    message = f"Execution Blocked: {value.message}"
                    kind = {"exception_type": "ExecutionBlocked", "exception_message": message}
                    self._send("execution_error", about | kind)
                return ExecutionBlocker(None)
        GraphBuilder.prefix = node_id
        function = getattr(obj, obj.FUNCTION)
        with running(self.prompt_id, node_id):
            result = function(**arguments)
            return await result if inspect.isawaitable(result) else result

    async def _outputs(self, node_id, cls, returned):
        """A list of values for each output of one invocation."""
        values = returned
        if isinstance(returned, dict):
            values = returned.get("result", ())
            if "expand" in returned:
                return await self._expand(node_id, returned["expand"], values)
        if isinstance(values, ExecutionBlocker):
            values = (values,) * len(cls.RETURN_TYPES)
        are_lists = getattr(cls, "OUTPUT_IS_LIST", (False,) * len(cls.RETURN_TYPES))
        return [list(value) if is_list else [value] for value, is_list in zip(values or (), are_lists, strict=False)]

    async def _expand(self, node_id, graph, values):
        for new_id, node in graph.items():
            self.graph.add_ephemeral_node(new_id, node, node_id)
        for cache in (self.executor.outputs, self.executor.objects):
            await cache.add(list(graph))
        for new_id in graph:
            if getattr(self._class(new_id), "OUTPUT_NODE", False):
                await self.result(new_id)
        return [(await self.result(value[0]))[value[1]] if is_link(value) else [value] for value in values]

    def error(self, error):
        names = {"builtins": ""}.get(type(error).__module__, f"{type(error).__module__}.")
        return {
            "node_id": self.real_id,
            "node_type": self.graph.get_node(self.real_id)["class_type"],
            "exception_type": f"{names}{type(error).__qualname__}",
            "exception_message": f"{error}\n",
            "traceback": traceback.format_tb(error.__traceback__),
            "current_inputs": {name: [str(each) for each in values] for name, values in self._inputs.items()},
            "current_outputs": list(self.graph.original_prompt),
        }

    def _hidden(self, node_id, cls):
        values = {
            "UNIQUE_ID": node_id,
            "PROMPT": self.graph.original_prompt,
            "EXTRA_PNGINFO": self.extra_data.get("extra_pnginfo"),
            "API_KEY_COMFY_ORG": self.extra_data.get("api_key_comfy_org"),
        }
        return {name: values[kind] for name, kind in cls.INPUT_TYPES().get("hidden", {}).items()}

    def _show(self, node_id, output):
        display_id = self.graph.get_display_node_id(node_id)
        shown = copy.deepcopy(output)  # newer versions add to it, and keep the original in the cache
        self._send("executed", {"node": node_id, "display_node": display_id, "output": shown})

    def _class(self, node_id):
        return nodes.NODE_CLASS_MAPPINGS[self.graph.get_node(node_id)["class_type"]]

    def _send(self, event, data):
        self.server.send_sync(event, data | {"prompt_id": self.prompt_id}, self.server.client_id)


async def validate_prompt(prompt_id, prompt, partial_execution_list=None):
    errors, good = {}, []
    for node_id, node in prompt.items():
        cls = nodes.NODE_CLASS_MAPPINGS.get(node["class_type"])
        if cls is None:
            return False, {"message": f"there is no node {node['class_type']}", "details": ""}, [], {}
        for name, (kind, *_) in cls.INPUT_TYPES().get("required", {}).items():
            if kind == "INT" and isinstance(node["inputs"].get(name), str):
                node["inputs"][name] = int(node["inputs"][name])
        check = getattr(cls, "VALIDATE_INPUTS", None)
        if check is not None:
            names = inspect.signature(check).parameters
            given = {name: value for name, value in node["inputs"].items() if name in names}
            found = check(**given, **({"input_types": {}} if "input_types" in names else {}))
            if found is not True:
                details = ", ".join(names) + ("" if found is False else f" - {found}")
                reason = {"type": "custom_validation_failed", "message": "Custom validation failed for node"}
                errors[node_id] = {"errors": [reason | {"details": details}], "class_type": node["class_type"]}
    for node_id, node in prompt.items():
        is_output = getattr(nodes.NODE_CLASS_MAPPINGS[node["class_type"]], "OUTPUT_NODE", False)
        if is_output and node_id in (partial_execution_list or prompt) and not errors:
            good.append(node_id)
    return bool(good), None, good, errors


def is_link(value):
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _sets(lists, *, takes_lists):
    if takes_lists or not lists:
        return [lists]
    longest = max(map(len, lists.values()))
    return [{name: values[min(at, len(values) - 1)] for name, values in lists.items()} for at in range(longest)]

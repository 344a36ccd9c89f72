"""The parts of ComfyUI that the agent uses, found by asking what is there: no version is compared.

What every ComfyUI has that the agent can work with is an attribute here; what only some have is ``None`` or false where
it is missing, and :attr:`Surfaces.lacks` says in one sentence what does not work for that reason.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any


class UnusableError(Exception):
    """This ComfyUI lacks something that the agent cannot do without."""


class Surfaces:
    """ComfyUI's modules, as they are loaded in this process."""

    def __init__(self) -> None:
        """Raises :class:`UnusableError`."""
        self.lacks: list[str] = []
        self._coroutines: dict[str, bool] = {}
        self.folder_paths = _needed("folder_paths", "get_input_directory", "get_output_directory", "get_temp_directory")
        self.nodes = _needed("nodes", "NODE_CLASS_MAPPINGS", "interrupt_processing")
        self.execution = _needed("execution", "validate_prompt", "PromptExecutor", "PromptQueue")
        self.server = _needed("server", "PromptServer").PromptServer.instance
        for name in ("start_multi_address", "send_sync", "prompt_queue", "app"):
            if not hasattr(self.server, name):
                raise UnusableError(f"its PromptServer has no {name}: version 0.3.45 or newer is needed")
        if not inspect.iscoroutinefunction(self.execution.validate_prompt):
            raise UnusableError("its validate_prompt is not asynchronous: version 0.3.45 or newer is needed")
        self.targets_are_arguments = len(inspect.signature(self.execution.validate_prompt).parameters) > 2
        """Whether ``validate_prompt`` takes the output nodes that are to run."""
        self.secrets_are_apart = "process_item" in inspect.signature(self.server.prompt_queue.task_done).parameters
        """Whether keys of partners are a sixth element of a queued prompt, which is removed when the prompt ends; older
        versions find them in the prompt's extra data."""
        self.caching = self._wanted("comfy_execution.caching", "what is cached is dropped when the user changes")
        self.progress = self._wanted("comfy_execution.progress", "nodes inside expansions have no parents in progress")
        self.contexts = _module("comfy_execution.utils")
        self.models = _module("comfy.model_management")
        self.latent_preview = _module("latent_preview")
        self.options = getattr(_module("comfy.cli_args"), "args", None)

    @property
    def version(self) -> str:
        """``ComfyUI 0.8.0``; without a number if it states none."""
        stated = getattr(_module("comfyui_version"), "__version__", "")
        return f"ComfyUI {stated}".rstrip()

    @property
    def dynprompt(self) -> Any:
        """The graph of the running prompt with the nodes that expansions added; ``None`` if there is no way to it."""
        registry = getattr(self.progress, "get_progress_state", None)
        return getattr(registry(), "dynprompt", None) if registry is not None else None

    @property
    def running_node(self) -> str | None:
        """The id of the node whose code called this."""
        context = getattr(self.contexts, "get_executing_context", lambda: None)()
        return getattr(context, "node_id", None)

    def is_coroutine(self, class_type: str) -> bool:
        """Whether nodes of a class run beside others."""
        if class_type not in self._coroutines:
            node_class = self.nodes.NODE_CLASS_MAPPINGS.get(class_type)
            function = getattr(node_class, str(getattr(node_class, "FUNCTION", "")), None)
            self._coroutines[class_type] = inspect.iscoroutinefunction(function)
        return self._coroutines[class_type]

    def interrupt(self, is_wanted: bool) -> None:
        self.nodes.interrupt_processing(is_wanted)

    def choose_preview(self, method: str | None) -> None:
        """Have samplers show previews by ``method``, where ComfyUI has no such choice for each prompt."""
        if hasattr(self.latent_preview, "set_preview_method"):
            return  # it reads the method from the prompt's extra data
        options = self.options
        methods = getattr(type(getattr(options, "preview_method", None)), "__members__", {})
        wanted = method if method not in (None, "default") else "none"
        for one in methods.values():
            if one.value == wanted and options is not None:
                options.preview_method = one

    def _wanted(self, name: str, consequence: str) -> Any:
        module = _module(name)
        if module is None:
            self.lacks.append(f"it has no {name}, so {consequence}")
        return module


def _needed(name: str, *attributes: str) -> Any:
    module = _module(name)
    if module is None:
        raise UnusableError(f"it has no module {name}")
    for attribute in attributes:
        if not hasattr(module, attribute):
            raise UnusableError(f"its module {name} has no {attribute}")
    return module


def _module(name: str) -> Any:
    """The module, or ``None`` if ComfyUI has none of that name."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None

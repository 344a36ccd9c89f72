"""Inputs that depend on the values of others, and inputs of several types."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from safelight.sdk.io import Input as DeclaredInput
from safelight.sdk.io import Output as DeclaredOutput
from safelight.sdk.io import inputs_to_json
from safelight.shims.modules.comfy_api.latest._io_types import AnyType, declare


def template_inputs(inputs: Sequence[DeclaredInput]) -> dict[str, dict[str, Any]]:
    """Return the inputs of a template. Combos of model files list the files here: the server fills in only a node's own
    combos."""
    return inputs_to_json([_listed(i) for i in inputs])


def _listed(declared: DeclaredInput) -> DeclaredInput:
    config = dict(declared.config)
    folder = config.pop("model_folder", None)
    if folder is None:
        return declared
    files = importlib.import_module("folder_paths").get_filename_list(folder)
    return replace(declared, config=config | {"options": [*config["options"], *files]})


class MultiType:
    """An input that accepts several types; if an input is passed as ``id``, its widget is shown."""

    Type = Any

    @staticmethod
    def Input(id: str | DeclaredInput, types: Sequence[Any], *args: Any, **options: Any) -> DeclaredInput:
        names = [t.io_type for t in types]
        if isinstance(id, DeclaredInput):
            names = [id.type, *(name for name in names if name != id.type)]
            optional = bool(options.pop("optional", id.optional))
            given = declare("", id.id, optional, options)
            return replace(given, type=",".join(names), config={**id.config, **given.config})
        named = dict(zip(("display_name", "optional", "tooltip", "lazy"), args, strict=False)) | options
        return declare(",".join(names), id, bool(named.pop("optional", False)), named)


class MatchType:
    """Inputs and outputs with the same template have one type, which the graph decides."""

    io_type = "COMFY_MATCHTYPE_V3"
    Type = Any

    class Template:
        def __init__(self, template_id: str, allowed_types: Any = AnyType) -> None:
            self.template_id = template_id
            self.allowed_types = list(allowed_types) if isinstance(allowed_types, list | tuple) else [allowed_types]

        def as_dict(self) -> dict[str, Any]:
            return {"template_id": self.template_id, "allowed_types": ",".join(t.io_type for t in self.allowed_types)}

    @classmethod
    def Input(cls, id: str, template: Template, *args: Any, **options: Any) -> DeclaredInput:
        named = dict(zip(("display_name", "optional", "tooltip", "lazy"), args, strict=False)) | options
        return declare(cls.io_type, id, bool(named.pop("optional", False)), named | {"template": template})

    @classmethod
    def Output(
        cls,
        template: Template,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> DeclaredOutput:
        return DeclaredOutput(cls.io_type, id, display_name, is_output_list, tooltip, template.template_id)


class DynamicCombo:
    """A choice that adds inputs; the node receives a dict of the choice and those inputs."""

    io_type = "COMFY_DYNAMICCOMBO_V3"
    Type = dict

    @dataclass(frozen=True)
    class Option:
        key: str
        inputs: Sequence[DeclaredInput] = ()

    @classmethod
    def Input(cls, id: str, options: Sequence[Option], *args: Any, **further: Any) -> DeclaredInput:
        written = [{"key": o.key, "inputs": template_inputs(o.inputs)} for o in options]
        named = dict(zip(("display_name", "optional", "tooltip", "lazy"), args, strict=False)) | further
        return declare(cls.io_type, id, bool(named.pop("optional", False)), named | {"options": written})


class Autogrow:
    """A list of inputs that grows in the UI; the node receives a dict of those that were given."""

    io_type = "COMFY_AUTOGROW_V3"
    Type = dict
    _MaxNames = 100

    class TemplatePrefix:
        def __init__(self, input: DeclaredInput, prefix: str, min: int = 1, max: int = 10) -> None:
            self.input, self.prefix, self.min, self.max = input, prefix, min, max

        def as_dict(self) -> dict[str, Any]:
            return {"input": template_inputs([self.input]), "prefix": self.prefix, "min": self.min, "max": self.max}

    class TemplateNames:
        def __init__(self, input: DeclaredInput, names: Sequence[str], min: int = 1) -> None:
            self.input, self.names, self.min = input, list(names), min

        def as_dict(self) -> dict[str, Any]:
            return {"input": template_inputs([self.input]), "names": self.names, "min": self.min}

    @classmethod
    def Input(
        cls, id: str, template: "Autogrow.TemplatePrefix | Autogrow.TemplateNames", *args: Any, **options: Any
    ) -> DeclaredInput:
        named = dict(zip(("display_name", "optional", "tooltip", "lazy"), args, strict=False)) | options
        return declare(cls.io_type, id, bool(named.pop("optional", False)), named | {"template": template})

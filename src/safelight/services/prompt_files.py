"""The strings of a prompt: any of them may name a file of the owner's, or a model."""

from collections.abc import Iterator, Mapping
from typing import Any

from safelight.core.node import Catalogue, InputSchema, NodeSchema
from safelight.core.upload_mark import upload_mark
from safelight.graph import validation_errors
from safelight.graph.literals import PACKS, names_file

INPUT_FOLDERS = "input_folders"
"""The key of a job's extra data for the folders of the owner whose files it has (:func:`folders_named`)."""
LONGEST_NAME = 4096
"""Characters; a longer text cannot name a file."""


def strings_of(prompt: Mapping[str, Any]) -> Iterator[str]:
    """Every string in the inputs of a prompt, at any depth; links to other calls are left out."""
    for call in prompt.values():
        inputs = call.get("inputs") if isinstance(call, Mapping) else None
        if isinstance(inputs, Mapping):
            for value in inputs.values():
                yield from _strings(value)


def may_name_files(prompt: Any, catalogue: Catalogue) -> bool:
    """Whether a node of the prompt offers the user's files in a combo, or is a pack's that takes text, which may be the
    name of a file. A dynamic input may contain such a combo."""
    if not isinstance(prompt, Mapping):
        return False
    classes = {str(node.get("class_type")) for node in prompt.values() if isinstance(node, Mapping)}
    schemas = (catalogue[name] for name in classes if name in catalogue)
    return any(_may_name_file(schema, i) for schema in schemas for i in schema.inputs)


def _may_name_file(schema: NodeSchema, declared: InputSchema) -> bool:
    if declared.type == "STRING":
        return schema.module.startswith(PACKS)
    return names_file(declared) or declared.type.startswith("COMFY_")


def folders_of(extra_data: Mapping[str, Any]) -> list[str]:
    """The folders that the extra data of a job names."""
    named = extra_data.get(INPUT_FOLDERS)
    return [folder for folder in named if isinstance(folder, str)] if isinstance(named, list) else []


def folders_named(prompt: Any, catalogue: Catalogue) -> set[str]:
    """The subfolders of the input folder that the prompt's nodes take, by the values of combos that offer them."""
    found: set[str] = set()
    for node in prompt.values() if isinstance(prompt, Mapping) else ():
        schema = catalogue.get(str(node.get("class_type"))) if isinstance(node, Mapping) else None
        inputs = node.get("inputs") if schema is not None else None
        if schema is None or not isinstance(inputs, Mapping):
            continue
        for declared in schema.inputs:
            mark, value = upload_mark(declared), inputs.get(declared.id)
            if mark is not None and mark.is_of_folders and isinstance(value, str) and value:
                found.add(value)
    return found


def possible_file_names(prompt: Mapping[str, Any], *, at_most: int) -> set[str]:
    """The strings of a prompt that are short enough to name a file. Raises
    :class:`~safelight.core.errors.InvalidPrompt` for more than ``at_most`` different ones."""
    names: set[str] = set()
    for text in strings_of(prompt):
        if len(text) <= LONGEST_NAME:
            names.add(text)
            if len(names) > at_most:
                details = f"more than {at_most} different texts"
                raise validation_errors.invalid_prompt("The prompt has too many texts that may name files", details)
    return names


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        is_link = len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)
        for item in () if is_link else value:
            yield from _strings(item)

"""Checks of literal inputs: conversion to the declared type, ranges, options, and files that must exist."""

import math
import re
from collections.abc import Callable
from typing import Any

from safelight.core.asset import parse_prefix
from safelight.core.errors import InvalidName
from safelight.core.model_folders import with_slashes
from safelight.core.node import InputSchema, NodeSchema
from safelight.core.upload_mark import upload_mark
from safelight.graph import validation_errors
from safelight.graph.dynamic import DYNAMIC_COMBO
from safelight.graph.link_types import COMBO, needs_link
from safelight.graph.validation_errors import NodeError

FileExists = Callable[[str], bool]
"""Return whether the caller has a file of this (annotated) name, or, for a name that ends in ``/``, files in that
folder."""

_TOKEN = re.compile(r"%[^%/]*%")
"""A token that saving nodes replace: ``%date:yyyy-MM-dd%``, ``%width%``."""
PACKS = "custom_nodes"
"""The package of the node packs' modules."""


def convert(schema: NodeSchema, declared: InputSchema, value: Any) -> tuple[Any, NodeError | None]:
    """Convert to the declared type. ``"16"`` and ``16.9`` become the integer 16; any non-empty text is true."""
    if needs_link(declared):
        # Clients send null for an optional input that is not connected.
        if value is None and declared.section == "optional":
            return value, None
        reason = f"a link to an output of type {declared.type} is needed, not a literal value"
        return value, validation_errors.not_convertible(schema, declared, value, reason)
    try:
        if declared.type == "INT":
            return int(value), None
        if declared.type == "FLOAT":
            return float(value), None
        if declared.type == "STRING":
            return str(value), None
        if declared.type == "BOOLEAN":
            return bool(value), None
        if declared.type == COMBO and isinstance(value, str):
            # Workflows from Windows name models with ``\\`` (MODEL-11).
            options = declared.config.get("options") or ()
            return (value if value in options or with_slashes(value) not in options else with_slashes(value)), None
    except (TypeError, ValueError, OverflowError) as error:
        return value, validation_errors.not_convertible(schema, declared, value, str(error))
    return value, None


def check_range(schema: NodeSchema, declared: InputSchema, value: Any) -> NodeError | None:
    """Check ``min`` and ``max`` of numbers, and options of combos."""
    if declared.type in ("INT", "FLOAT"):
        low, high = declared.config.get("min"), declared.config.get("max")
        if low is not None and value < low:
            return validation_errors.too_small(schema, declared, value)
        if high is not None and value > high:
            return validation_errors.too_big(schema, declared, value)
        if isinstance(value, float) and math.isnan(value) and (low is not None or high is not None):
            return validation_errors.not_convertible(schema, declared, value, "not a number, and the input has a range")
    elif declared.type == DYNAMIC_COMBO:
        keys = [option["key"] for option in declared.config.get("options") or ()]
        if value not in keys:
            return validation_errors.not_in_list(schema, declared, value, keys)
    elif declared.type == COMBO:
        options = declared.config.get("options") or []
        if not options and declared.config.get("remote"):
            return None  # the client fetched the choices from elsewhere
        several = declared.config.get("multiselect") and isinstance(value, list)
        if any(v not in options for v in (value if several else [value])):
            return validation_errors.not_in_list(schema, declared, value, options)
    return None


def check_prefix(schema: NodeSchema, declared: InputSchema, value: Any) -> NodeError | None:
    """Check the file name prefix of a built-in saving node; packs may interpret theirs differently."""
    if declared.id != "filename_prefix" or not schema.is_output or schema.module.startswith(PACKS):
        return None
    try:
        parse_prefix(_TOKEN.sub("0", str(value)))
    except InvalidName as error:
        return validation_errors.custom(declared.id, f"invalid file name prefix {value!r}: {error}")
    return None


def names_file(declared: InputSchema) -> bool:
    """Return whether the input is a combo of the user's own files, which the server lists."""
    return upload_mark(declared) is not None


def check_file(declared: InputSchema, value: Any, file_exists: FileExists) -> NodeError | None:
    """Check that ``value`` is one of the declared options, or the name of a file that exists."""
    if value in (declared.config.get("options") or ()):
        return None
    mark = upload_mark(declared)
    assert mark is not None
    if isinstance(value, str) and file_exists(f"{value}/" if mark.is_of_folders else value):
        return None
    return validation_errors.custom(declared.id, f"{mark.invalid}: {value}")

"""A node's declaration as its author writes it, and its conversion to a :class:`~safelight.core.node.NodeSchema`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from safelight.core.node import InputSchema, NodeSchema, Section
from safelight.sdk.io import Input, Output

HIDDEN_TYPES = ("PROMPT", "EXTRA_PNGINFO", "UNIQUE_ID", "DYNPROMPT", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG")
"""What a node can list in ``hidden``; the value is ``cls.hidden.<lower case name>``."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A node's declaration. The description is the class docstring, which the UI shows."""

    node_id: str
    inputs: Sequence[Input] = ()
    outputs: Sequence[Output] = ()
    display_name: str | None = None
    category: str = "sd"
    hidden: Sequence[str] = ()
    is_output_node: bool = False
    is_input_list: bool = False
    not_idempotent: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    listed_combos: bool = False
    """Write combos as ``[[...], {}]``: the form that clients expect of nodes that are V1 classes in ComfyUI."""
    search_aliases: Sequence[str] = ()
    essentials_category: str | None = None

    def to_node_schema(
        self,
        *,
        description: str = "",
        module: str = "nodes",
        has_fingerprint: bool = False,
        has_validator: bool = False,
        validated_inputs: tuple[str, ...] = (),
        validates_types: bool = False,
    ) -> NodeSchema:
        hidden = tuple(InputSchema(name.lower(), name, Section.HIDDEN) for name in self.hidden)
        return NodeSchema(
            name=self.node_id,
            display_name=self.display_name or self.node_id,
            category=self.category,
            inputs=tuple(i.to_schema() for i in self.inputs) + hidden,
            outputs=tuple(o.to_schema() for o in self.outputs),
            description=description,
            module=module,
            is_output=self.is_output_node,
            input_is_list=self.is_input_list,
            listed_combos=self.listed_combos,
            not_idempotent=self.not_idempotent,
            has_validator=has_validator,
            validated_inputs=validated_inputs,
            validates_types=validates_types,
            has_fingerprint=has_fingerprint,
            deprecated=self.is_deprecated,
            experimental=self.is_experimental,
            api_node=self.is_api_node,
            search_aliases=tuple(self.search_aliases),
            essentials_category=self.essentials_category,
        )

"""Schemas and nodes in V3 form, based on those of the ``sdk``."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar

from safelight.core.node import NodeSchema
from safelight.sdk import node as sdk_node
from safelight.sdk import schema as sdk_schema
from safelight.sdk.io import Input, Output


class Hidden(StrEnum):
    """The hidden values that a node can request; the value is ``cls.hidden.<name>``."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class PriceBadgeDepends:
    """What the price of a partner node depends on. Not used."""

    def __init__(self, **depends: Any) -> None:
        self.depends = depends


class PriceBadge:
    """The price of a partner node. Not shown."""

    def __init__(self, expr: str, depends_on: Any = None, engine: str = "jsonata", **_: Any) -> None:
        self.expr = expr


class Schema:
    """A node's declaration. Mutable: a subclass can change the schema that its base returned."""

    def __init__(
        self,
        node_id: str,
        display_name: str | None = None,
        category: str = "sd",
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        hidden: Sequence[Hidden] | None = None,
        description: str = "",
        search_aliases: Sequence[str] | None = None,
        is_input_list: bool = False,
        is_output_node: bool = False,
        is_deprecated: bool = False,
        is_experimental: bool = False,
        is_api_node: bool = False,
        not_idempotent: bool = False,
        enable_expand: bool = False,
        essentials_category: str | None = None,
        **further: Any,
    ) -> None:
        """``further``: options that this server does not use, such as ``price_badge``."""
        self.node_id = node_id
        self.display_name = display_name
        self.category = category
        self.inputs = list(inputs or ())
        self.outputs = list(outputs or ())
        self.hidden = list(hidden or ())
        self.description = description
        self.search_aliases = list(search_aliases or ())
        self.is_input_list = is_input_list
        self.is_output_node = is_output_node
        self.is_deprecated = is_deprecated
        self.is_experimental = is_experimental
        self.is_api_node = is_api_node
        self.not_idempotent = not_idempotent
        self.enable_expand = enable_expand
        self.essentials_category = essentials_category
        self.further = further

    def to_node_schema(self, *, description: str = "", **facts: Any) -> NodeSchema:
        """Output nodes always receive the prompt and the workflow, which they write into files, and partner nodes their
        keys."""
        hidden = [*self.hidden]
        if self.is_output_node:
            hidden += [Hidden.prompt, Hidden.extra_pnginfo]
        if self.is_api_node:
            hidden += [Hidden.auth_token_comfy_org, Hidden.api_key_comfy_org]
        schema = sdk_schema.Schema(
            node_id=self.node_id,
            display_name=self.display_name,
            category=self.category,
            inputs=self.inputs,
            outputs=self.outputs,
            hidden=list(dict.fromkeys(Hidden(h).value for h in hidden)),
            is_input_list=self.is_input_list,
            is_output_node=self.is_output_node,
            is_deprecated=self.is_deprecated,
            is_experimental=self.is_experimental,
            is_api_node=self.is_api_node,
            not_idempotent=self.not_idempotent,
            search_aliases=self.search_aliases,
            essentials_category=self.essentials_category,
        )
        return schema.to_node_schema(description=self.description or description, **facts)


class NodeOutput(sdk_node.NodeOutput):
    """Adds ComfyUI's other accessors."""

    @property
    def result(self) -> tuple[Any, ...] | None:
        return self.values or None

    def __getitem__(self, index: int) -> Any:
        return self.values[index]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "NodeOutput":
        """Convert the result of a V1 node."""
        given = data.get("result") or ()
        blocked = given.message if isinstance(given, sdk_node.Blocker) else None
        values = () if isinstance(given, sdk_node.Blocker) else given
        return cls(*values, ui=data.get("ui"), expand=data.get("expand"), block_execution=blocked)


class ComfyNode(sdk_node.Node):
    """The base of V3 nodes."""

    SCHEMA: ClassVar[Schema | None] = None

    @classmethod
    def GET_SCHEMA(cls) -> Any:
        return cls.define_schema()

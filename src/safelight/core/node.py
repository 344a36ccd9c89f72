"""A node as data: its author's declaration, without its code. Workers send these, and the server validates with them.

The JSON side (``object_info``) is ComfyUI's; a :class:`NodeSchema` is made once from an author's class (``sdk``) and
travels to the server, which keeps it by digest and never imports the node.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ANY = "*"

HIDDEN_FORM = "form"
"""The option of a hidden input that its author has declared with more than a type: the whole declaration, as JSON."""

FILLED_IN = frozenset(
    {"PROMPT", "EXTRA_PNGINFO", "UNIQUE_ID", "DYNPROMPT", "AUTH_TOKEN_COMFY_ORG", "API_KEY_COMFY_ORG"}
)
"""Types of hidden inputs that the engine fills in."""


class Section(StrEnum):
    REQUIRED = "required"
    OPTIONAL = "optional"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class InputSchema:
    """One declared input.

    ``type`` is a type name (``IMAGE``, ``IMAGE,MASK``, ``*``, ``COMBO`` ...). ``config`` holds the author's options in
    ComfyUI's spelling (``default min max step tooltip lazy forceInput options ...``); a combo's choices are
    ``config["options"]`` here, whichever way the author spelled them. Dynamic inputs (``COMFY_DYNAMICCOMBO_V3``,
    ``COMFY_AUTOGROW_V3``) carry their templates in ``config`` too; ``graph.dynamic`` opens them for a given prompt.
    """

    id: str
    type: str
    section: Section = Section.REQUIRED
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> list[Any] | None:
        """The choices of a combo, else ``None``."""
        if self.type != "COMBO":
            return None
        return list(self.config.get("options") or [])

    @property
    def is_filled_in(self) -> bool:
        """Whether the engine fills in the value. Other hidden inputs get the value in the prompt (GRAPH-15)."""
        return self.section is Section.HIDDEN and self.type in FILLED_IN

    @property
    def is_lazy(self) -> bool:
        return bool(self.config.get("lazy"))

    @property
    def is_raw_link(self) -> bool:
        return bool(self.config.get("rawLink"))


@dataclass(frozen=True, slots=True)
class OutputSchema:
    type: str
    name: str
    is_list: bool = False
    tooltip: str | None = None
    match_template: str | None = None
    """The template of a V3 match type that this output follows."""
    options: tuple[Any, ...] | None = None
    """The choices, where a V1 node declares a combo as its output."""


@dataclass(frozen=True, slots=True)
class NodeSchema:
    """A node's whole declaration. ``listed_combos``: a V1 node, whose combos are written ``[[...], {}]``."""

    name: str
    display_name: str
    category: str
    inputs: tuple[InputSchema, ...]
    outputs: tuple[OutputSchema, ...]
    description: str = ""
    module: str = "nodes"
    is_output: bool = False
    input_is_list: bool = False
    listed_combos: bool = False
    not_idempotent: bool = False
    has_validator: bool = False
    """The node has its own validation of inputs (``VALIDATE_INPUTS``)."""
    validated_inputs: tuple[str, ...] = ()
    """Inputs that the node's own code validates instead of the checks of ranges and options; ``("*",)`` for all."""
    validates_types: bool = False
    """The node's own code validates the types of its links (``input_types``)."""
    has_fingerprint: bool = False
    deprecated: bool = False
    experimental: bool = False
    api_node: bool = False
    search_aliases: tuple[str, ...] = ()
    essentials_category: str | None = None

    def section(self, section: Section) -> Iterator[InputSchema]:
        return (i for i in self.inputs if i.section is section)

    def input(self, input_id: str) -> InputSchema | None:
        return next((i for i in self.inputs if i.id == input_id), None)


Catalogue = Mapping[str, NodeSchema]
"""Every node that a worker can run, by its name."""

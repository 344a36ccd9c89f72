"""Node packs: where they are, and what they may do."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from safelight.settings.declare import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class PackSettings:
    """Node packs"""

    custom_nodes: Annotated[
        tuple[Path, ...], doc("Folders of node packs; each pack is a module or a package in one of them.")
    ] = ()
    pack_libraries: Annotated[
        str,
        doc(
            "A folder of the libraries that node packs need besides Safelight's own, which are searched first. "
            "`safelight pack add` installs into it.",
            default="beside Safelight's environment: `.venv-packs` for `.venv`",
        ),
    ] = ""
    node_packages: Annotated[
        tuple[str, ...], doc("Importable packages of nodes. Empty: only the packs in `custom_nodes`.")
    ] = ("safelight.nodes",)
    writable_packs: Annotated[
        tuple[str, ...],
        doc(
            "Node packs, by folder name, that may write to their folder, including their code. Others are imported "
            "from a copy, in which the data files that they change are kept: [workers.md](workers.md)."
        ),
    ] = ()
    pack_routes: Annotated[
        tuple[str, ...],
        doc(
            "Who may call the HTTP routes of a node pack: `pack=admin`, `pack=user` or `pack=off`; `*` for all others.",
            default="`*=user`",
        ),
    ] = ()
    pack_routes_changed_by_users: Annotated[
        tuple[str, ...],
        doc(
            "Node packs whose routes users may call with POST, PUT, PATCH and DELETE; `*`: all. Otherwise only "
            "administrators may."
        ),
    ] = ()

    @property
    def libraries(self) -> Path:
        return Path(self.pack_libraries or f"{sys.prefix}-packs").resolve()

    @property
    def pack_rules(self) -> Mapping[str, str]:
        """``admin``, ``user`` or ``off`` by pack, ``*`` for the rest. Raises :class:`ValueError`."""
        pairs = (text.rpartition("=") for text in self.pack_routes)
        rules = {name: rule for name, _, rule in pairs}
        if "" in rules or not set(rules.values()) <= {"admin", "user", "off"}:
            raise ValueError(self.pack_routes)
        return rules

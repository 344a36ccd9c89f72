"""What node packs provide for the web UI, from their folders: scripts, example workflows, translations, blueprints.

The folder names are ComfyUI's. Scripts are in the pack's ``WEB_DIRECTORY``, which only a worker knows.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

log = logging.getLogger(__name__)

TEMPLATE_FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")
_TRANSLATED_PARTS = ("nodeDefs", "commands", "settings")
"""Files of a locale whose content goes under their own name; ``main.json`` has the rest."""


@dataclass(frozen=True, slots=True)
class Packs:
    """``templates``: folders of example workflows by pack; ``translations``: by locale; ``blueprints``: by id."""

    scripts: Mapping[str, Path] = field(default_factory=dict)
    templates: Mapping[str, Path] = field(default_factory=dict)
    translations: Mapping[str, Any] = field(default_factory=dict)
    blueprints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def template_names(self) -> dict[str, list[str]]:
        return {pack: sorted(p.stem for p in folder.glob("*.json")) for pack, folder in self.templates.items()}


def read_packs(folders: Sequence[Path], *, web_directories: Mapping[str, str]) -> Packs:
    """Read the packs in ``folders``. Blocks. A file that is not valid JSON is logged and skipped.

    ``web_directories`` come from a worker. Those outside a pack are skipped, because their files are served to
    everybody.
    """
    packs = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_dir()]
    translations: dict[str, Any] = {}
    for pack in packs:
        for locale, texts in _translations(pack):
            _merge(translations.setdefault(locale, {}), texts)
    return Packs(
        scripts={
            name: Path(folder) for name, folder in web_directories.items() if _is_of_a_pack(name, Path(folder), packs)
        },
        templates={pack.name: folder for pack in packs if (folder := _templates(pack)) is not None},
        translations=translations,
        blueprints=dict(entry for pack in packs for entry in _blueprints(pack)),
    )


def united(packs: Iterable[Packs]) -> Packs:
    """The packs of several engines as one; of two with the same name, the first counts."""
    found = list(packs)
    translations: dict[str, Any] = {}
    for each in found:
        _merge(translations, deepcopy(each.translations))
    first_wins = list(reversed(found))
    return Packs(
        scripts={name: folder for each in first_wins for name, folder in each.scripts.items()},
        templates={name: folder for each in first_wins for name, folder in each.templates.items()},
        translations=translations,
        blueprints={key: entry for each in first_wins for key, entry in each.blueprints.items()},
    )


def _is_of_a_pack(name: str, folder: Path, packs: Sequence[Path]) -> bool:
    real = folder.resolve()
    is_inside = any(real.is_relative_to(pack.resolve()) for pack in packs)
    if not is_inside:
        log.warning("the web folder %s of the node pack %s is outside the pack; it is not served", folder, name)
    return is_inside


def _templates(pack: Path) -> Path | None:
    return next((pack / name for name in TEMPLATE_FOLDERS if any((pack / name).glob("*.json"))), None)


def _translations(pack: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for locale in sorted((pack / "locales").glob("*/")):
        main = _read(locale / "main.json")
        texts: dict[str, Any] = dict(main) if isinstance(main, dict) else {}
        for part in _TRANSLATED_PARTS:
            content = _read(locale / f"{part}.json")
            if isinstance(content, dict):
                texts[part] = content
        if texts:
            yield locale.name, texts


def _blueprints(pack: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((pack / "subgraphs").glob("*.json")):
        workflow = _read(path)
        if workflow is None:
            continue
        blueprint_id = hashlib.blake2b(f"{pack.name}/{path.name}".encode(), digest_size=16).hexdigest()
        data = msgspec.json.encode(workflow).decode()
        info = {"node_pack": f"custom_nodes.{pack.name}"}
        yield blueprint_id, {"source": "custom_node", "name": path.stem, "info": info, "data": data}


def _read(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s cannot be used: %s", path, error)
        return None


def _merge(into: dict[str, Any], texts: Mapping[str, Any]) -> None:
    """Merge recursively: several packs may translate the same locale. The first value of a key wins."""
    for key, value in texts.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into.setdefault(key, value)

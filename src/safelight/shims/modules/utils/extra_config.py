"""Model folders from a file like ``extra_model_paths.yaml`` of a pack."""

from pathlib import Path

import yaml

from safelight.core.extra_places import places_in
from safelight.shims.modules.folder_paths import add_model_folder_path


def load_extra_path_config(yaml_path: str) -> None:
    """Add the folders that the file names. Raises :class:`OSError`, and :class:`ValueError` for a wrong form."""
    file = Path(yaml_path)
    for place in places_in(yaml.safe_load(file.read_text("utf-8")), here=file.resolve().parent):
        add_model_folder_path(place.folder, str(place.path), place.is_default)

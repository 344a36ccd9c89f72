"""Reading ComfyUI's ``extra_model_paths.yaml``."""

from pathlib import Path

from safelight.core.extra_places import places_in
from safelight.core.model_folders import ExtraPlace


def read_extra_model_paths(file: Path) -> tuple[ExtraPlace, ...]:
    """The model folders that the file names, in its order. Raises :class:`OSError`, and :class:`ValueError` for a file
    that does not have the right form."""
    import yaml  # few installations have such a file

    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"not YAML: {error}") from None
    return places_in(document, here=file.resolve().parent)

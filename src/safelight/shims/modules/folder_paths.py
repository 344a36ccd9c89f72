"""Where packs find files: the user's inputs, folders for outputs, and the operator's models.

The folders are those of :mod:`safelight.worker.workspace`; only files that the prompt names are there. Paths are module
attributes because packs read them at import, so importing this module makes the workspace.
"""

import mimetypes
import os
from typing import Any

from safelight.core.errors import InvalidName
from safelight.core.model_folders import WEIGHTS, canonical
from safelight.shims import model_folders, saving
from safelight.shims.input_listing import place_probes
from safelight.shims.pack_caller import importing_pack
from safelight.shims.validated_files import is_validating, validated_file
from safelight.worker.context import worker_context

_worker = worker_context()
_root = _worker.workspace.root

base_path = str(_root)
models_dir = str(_worker.model_roots[0]) if _worker.model_roots else str(_root / "models")
input_directory = str(_root / "input")
output_directory = str(_root / "output")
temp_directory = str(_root / "temp")
user_directory = str(_root / "user")
__file__ = str(_root / "folder_paths.py")  # packs look beside it for ComfyUI's folders, and write there

if importing_pack.get():
    place_probes(_worker.workspace)

supported_pt_extensions = set(WEIGHTS)
folder_names_and_paths = model_folders.table(_worker.model_roots, _root / "models", _worker.extra_models)
folder_names_and_paths["custom_nodes"] = ([str(p) for p in _worker.custom_nodes], set())
filename_list_cache: dict[str, Any] = {}
extension_mimetypes_cache = {"webp": "image", "fbx": "model"}


def get_input_directory() -> str:
    return input_directory


def get_output_directory() -> str:
    return output_directory


def get_temp_directory() -> str:
    return temp_directory


def get_user_directory() -> str:
    return user_directory


def get_public_user_directory(user_id: str) -> str | None:
    return None if user_id.startswith("__") else os.path.join(user_directory, user_id)


def get_system_user_directory(name: str = "system") -> str:
    return os.path.join(user_directory, f"__{name}")


def get_directory_by_type(type_name: str) -> str | None:
    return {"output": output_directory, "temp": temp_directory, "input": input_directory}.get(type_name)


get_directory = get_directory_by_type


def get_input_subfolders() -> list[str]:
    found = (os.path.relpath(where, input_directory) for where, _, _ in os.walk(input_directory))
    return sorted(folder for folder in found if folder != ".")


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """Return the name without its annotation, and the folder that the annotation refers to."""
    for kind in ("output", "input", "temp"):
        if name.endswith(f"[{kind}]"):
            return name[: -len(kind) - 2].rstrip(), get_directory_by_type(kind)
    return name, None


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """Return the path of a file of the user. Raises :class:`InvalidName` for one outside its folder."""
    if path_to_validate := validated_file(name):
        return path_to_validate
    plain, folder = annotated_filepath(name)
    top = folder or default_dir or input_directory
    path = os.path.normpath(os.path.join(top, plain.replace("\\", "/")))
    if os.path.commonpath((os.path.normpath(top), path)) != os.path.normpath(top):
        raise InvalidName(f"invalid file name {name!r}: it is outside your folders")
    return path


def exists_annotated_filepath(name: str) -> bool:
    if is_validating():
        return validated_file(name) is not None
    try:
        return os.path.exists(get_annotated_filepath(name))
    except (InvalidName, ValueError):
        return False


def get_folder_paths(folder_name: str) -> list[str]:
    return folder_names_and_paths[folder_name][0][:]


def get_filename_list(folder_name: str) -> list[str]:
    return model_folders.files_of(folder_names_and_paths, folder_name)


def get_filename_list_(folder_name: str) -> tuple[list[str], dict[str, float], float]:
    return get_filename_list(folder_name), {}, 0.0


def cached_filename_list_(folder_name: str) -> None:
    """Return ``None``: listings are not cached."""


def get_full_path(folder_name: str, filename: str) -> str | None:
    return model_folders.find(folder_names_and_paths, folder_name, filename)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    path = get_full_path(folder_name, filename)
    if path is None:
        raise FileNotFoundError(f"there is no model {filename!r} in {folder_name}")
    return path


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    folder_names_and_paths.add(folder_name, full_folder_path, is_default=is_default)


def map_legacy(folder_name: str) -> str:
    return canonical(folder_name)


def recursive_search(directory: str, excluded_dir_names: list[str] | None = None) -> tuple[list[str], dict[str, float]]:
    """Return the files below a folder, by names relative to it, and the time when each folder changed."""
    files: list[str] = []
    changed_at: dict[str, float] = {}
    for where, subfolders, names in os.walk(directory, followlinks=True):
        subfolders[:] = [s for s in subfolders if s not in (excluded_dir_names or ())]
        changed_at[where] = os.path.getmtime(where)
        files += (os.path.relpath(os.path.join(where, name), directory) for name in names)
    return files, changed_at


def filter_files_extensions(files: Any, extensions: Any) -> list[str]:
    wanted = list(extensions)
    return sorted(f for f in files if not wanted or os.path.splitext(f)[-1].lower() in wanted or "folder" in wanted)


def filter_files_content_types(files: list[str], content_types: list[str]) -> list[str]:
    """Return the files whose type, by their name, is one of ``image``, ``video``, ``audio``, ``model``."""
    return [f for f in files if _content_type(f) in content_types]


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """Return the folder to write to, the file's own prefix, the first free number, the subfolder, and the whole
    prefix."""
    return saving.save_image_path(filename_prefix, output_dir, width=image_width, height=image_height)


def set_input_directory(input_dir: str) -> None:
    global input_directory
    input_directory = input_dir


def set_output_directory(output_dir: str) -> None:
    global output_directory
    output_directory = output_dir


def set_temp_directory(temp_dir: str) -> None:
    global temp_directory
    temp_directory = temp_dir


def _content_type(name: str) -> str:
    extension = os.path.splitext(name)[1].lower().lstrip(".")
    if extension in ("glb", "gltf", "obj", "stl", "ply", "usdz", "splat", "fbx"):
        return "model"
    guessed = extension_mimetypes_cache.get(extension) or mimetypes.guess_type(name, strict=False)[0] or ""
    return guessed.partition("/")[0]

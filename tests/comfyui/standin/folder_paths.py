"""Where files are."""

import os

from comfy.cli_args import args

base_path = os.path.dirname(os.path.realpath(__file__))
models_dir = os.path.join(base_path, "models")
_EXTENSIONS = {".safetensors", ".ckpt"}
folder_names_and_paths = {
    "checkpoints": ([os.path.join(models_dir, "checkpoints")], _EXTENSIONS),
    "custom_nodes": ([os.path.join(base_path, "custom_nodes")], set()),
}
_directories = {
    "input": args.input_directory or os.path.join(base_path, "input"),
    "output": args.output_directory or os.path.join(base_path, "output"),
    "temp": os.path.join(args.temp_directory or base_path, "temp"),
    "user": args.user_directory or os.path.join(base_path, "user"),
}


def get_input_directory():
    return _directories["input"]


def get_output_directory():
    return _directories["output"]


def get_temp_directory():
    return _directories["temp"]


def get_user_directory():
    return _directories["user"]


def add_model_folder_path(name, path, is_default=False):
    paths, _ = folder_names_and_paths.setdefault(name, ([], _EXTENSIONS))
    if path not in paths:
        paths.insert(0 if is_default else len(paths), path)


def get_folder_paths(name):
    return list(folder_names_and_paths[name][0])


def get_filename_list(name):
    paths, extensions = folder_names_and_paths[name]
    found = {entry for path in paths if os.path.isdir(path) for entry in os.listdir(path)}
    return sorted(entry for entry in found if os.path.splitext(entry)[1] in extensions)


def get_full_path(name, filename):
    for path in folder_names_and_paths[name][0]:
        full = os.path.join(path, filename)
        if os.path.isfile(full):
            return full
    return None


def get_annotated_filepath(name):
    for folder, directory in (("output", get_output_directory), ("temp", get_temp_directory)):
        if name.endswith(f" [{folder}]"):
            return os.path.join(directory(), name.removesuffix(f" [{folder}]"))
    return os.path.join(get_input_directory(), name.removesuffix(" [input]"))


def exists_annotated_filepath(name):
    return os.path.exists(get_annotated_filepath(name))


def get_save_image_path(filename_prefix, output_dir, image_width=0, image_height=0):
    subfolder, prefix = os.path.split(filename_prefix)
    folder = os.path.join(output_dir, subfolder)
    os.makedirs(folder, exist_ok=True)
    numbers = [
        int(number)
        for name in os.listdir(folder)
        if name.startswith(f"{prefix}_") and (number := name[len(prefix) + 1 :].split("_")[0]).isdecimal()
    ]
    return folder, prefix, max(numbers, default=0) + 1, subfolder, filename_prefix

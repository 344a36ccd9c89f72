"""The nodes of packs."""

import importlib.util
import logging
import os
import sys
import traceback

import folder_paths
from comfy import model_management

NODE_CLASS_MAPPINGS = {}
NODE_DISPLAY_NAME_MAPPINGS = {}
EXTENSION_WEB_DIRS = {}
LOADED_MODULE_DIRS = {}


def interrupt_processing(value=True):
    model_management.interrupt_current_processing(value)


def before_node_execution():
    model_management.throw_exception_if_processing_interrupted()


def run_prestartup_scripts():
    for path in _packs():
        script = os.path.join(path, "prestartup_script.py")
        if os.path.isfile(script):
            _import(script, script)


def import_packs():
    for path in _packs():
        try:
            file = os.path.join(path, "__init__.py") if os.path.isdir(path) else path
            module = _import(path, file)
        except Exception as error:
            logging.warning(traceback.format_exc())
            logging.warning("Cannot import %s module for custom nodes: %s", path, error)
            continue
        name = os.path.basename(path)
        LOADED_MODULE_DIRS[name] = path
        NODE_CLASS_MAPPINGS.update(getattr(module, "NODE_CLASS_MAPPINGS", {}))
        NODE_DISPLAY_NAME_MAPPINGS.update(getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", {}))
        if hasattr(module, "WEB_DIRECTORY"):
            EXTENSION_WEB_DIRS[name] = os.path.join(path, module.WEB_DIRECTORY)


def _packs():
    for folder in folder_paths.get_folder_paths("custom_nodes"):
        for name in sorted(os.listdir(folder)):
            if not name.startswith(("_", ".")) and (name.endswith(".py") or os.path.isdir(os.path.join(folder, name))):
                yield os.path.join(folder, name)


def _import(name, file):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module

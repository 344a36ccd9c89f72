"""The module names that existing node packs import (``nodes``, ``folder_paths``, ``comfy.*``, ``comfy_api.*`` ...).

They exist in the worker process only, once :func:`~safelight.shims.install.install` was called, and are backed by the
``sdk`` and ``nodes``. Nothing here imports torch until a pack imports a module that needs it.

* ``absent``: placeholders for parts of ComfyUI that this server does not have.
* ``asked``: how a pack asks for a name of a module.
* ``extension``: the nodes of packs in V3 form.
* ``images``: ``nodes.SaveImage`` and ``nodes.PreviewImage``.
* ``input_listing``: combos that packs fill by listing the input folder.
* ``install``: makes the modules importable.
* ``mappings``: ``nodes.NODE_CLASS_MAPPINGS``.
* ``model_folders``: ``folder_paths.folder_names_and_paths``, and the files in model folders.
* ``modules/``: the modules that packs import, one for each name.
* ``pack_caller``: which pack is being imported, and who called a pack's route.
* ``registered``: nodes, web folders and routes that packs add to ``nodes`` and ``server``.
* ``saving``: files that packs write by path, as outputs of the job.
* ``v1_methods``: how ComfyUI's node classes are called: methods, and the order of arguments.
* ``validated_files``: the files of the user whose inputs are being validated.
* ``views``: the library's nodes as V1 classes.
"""

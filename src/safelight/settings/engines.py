"""Which engines run jobs: Safelight's own, and installations of ComfyUI."""

from dataclasses import dataclass
from typing import Annotated

from safelight.settings.declare import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Engines"""

    engines: Annotated[
        tuple[str, ...],
        doc(
            "The engines that run jobs: `safelight`, our own, and `comfyui=/opt/ComfyUI`, a ComfyUI with its models "
            "and node packs; its Python is `venv`, `.venv` or `python_embeded` there, or named after a colon: "
            "`comfyui=/opt/ComfyUI:/opt/python`. A second one has a name of its own: `comfyui-two=/srv/ComfyUI`. See "
            "[comfyui.md](comfyui.md).",
            by_commas=True,
        ),
    ] = ("safelight",)
    engine_workers: Annotated[
        tuple[str, ...],
        doc("`comfyui=2`: the number of workers of one engine.", default="`workers` for each", by_commas=True),
    ] = ()
    engine_arguments: Annotated[
        tuple[str, ...],
        doc(
            "`comfyui=--lowvram --cache-lru 20`: the arguments that a ComfyUI is started with, besides those for its "
            "folders, its port and the device.",
            by_commas=True,
        ),
    ] = ()
    engine_preference: Annotated[
        tuple[str, ...],
        doc("The engines that run a job first where several can.", default="our own, then in the order of `engines`"),
    ] = ()

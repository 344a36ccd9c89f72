"""What V3 nodes show and save: ``NodeOutput(image, ui=ui.PreviewImage(image, cls=cls))``.

``cls`` is the node: the prompt and workflow in its ``hidden`` are written into the files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from safelight.media.audio import FLAC, SoundFormat, mp3, opus
from safelight.media.image import save_animated_png, save_webp
from safelight.media.metadata import NO_METADATA, Metadata
from safelight.nodes.audio.save_audio import save_sounds
from safelight.nodes.files.pixels import byte_frames
from safelight.nodes.files.save_image import save_pictures
from safelight.nodes.files.show_image import temp_prefix
from safelight.sdk.context import OutputFile, current
from safelight.shims.modules.comfy_api.latest._io_types import FolderType

_WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}


class SavedResult(dict[str, str]):
    """A reference to a saved file, as clients read it."""

    def __init__(self, filename: str, subfolder: str, type: str) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=str(FolderType(type)))

    @property
    def filename(self) -> str:
        return self["filename"]

    @property
    def subfolder(self) -> str:
        return self["subfolder"]

    @property
    def type(self) -> str:
        return self["type"]


class Shown:
    """Base class: values to show, by key."""

    def __init__(self, shown: Mapping[str, Any]) -> None:
        self._shown = dict(shown)

    def as_dict(self) -> dict[str, Any]:
        return self._shown


class SavedImages(Shown):
    def __init__(self, results: Sequence[Mapping[str, str]], is_animated: bool = False) -> None:
        self.results = list(results)
        super().__init__({"images": self.results} | ({"animated": (True,)} if is_animated else {}))


class SavedAudios(Shown):
    def __init__(self, results: Sequence[Mapping[str, str]]) -> None:
        self.results = list(results)
        super().__init__({"audio": self.results})


class PreviewImage(Shown):
    """Pictures ``[B, H, W, C]``, saved in the temp folder."""

    def __init__(self, image: torch.Tensor, animated: bool = False, cls: Any = None, **_: Any) -> None:
        saved = ImageSaveHelper.save_images(image, temp_prefix(), FolderType.temp, cls, compress_level=1)
        super().__init__({"images": saved, "animated": (animated,)})
        self.values = saved


class PreviewMask(PreviewImage):
    """Masks ``[B, H, W]``, as grey pictures."""

    def __init__(self, mask: torch.Tensor, animated: bool = False, cls: Any = None, **further: Any) -> None:
        height, width = mask.shape[-2:]
        super().__init__(mask.reshape(-1, height, width, 1).expand(-1, -1, -1, 3), animated, cls, **further)


class PreviewAudio(Shown):
    def __init__(self, audio: dict[str, Any], cls: Any = None, **_: Any) -> None:
        saved = save_sounds(audio, prefix=temp_prefix(), format=FLAC, metadata=_metadata(cls), folder="temp")
        super().__init__(saved.as_dict())


class PreviewVideo(Shown):
    """Videos that are already saved."""

    def __init__(self, values: Sequence[Mapping[str, str]], **_: Any) -> None:
        self.values = list(values)
        super().__init__({"images": self.values, "animated": (True,)})


class PreviewUI3D(Shown):
    """A 3D model by its name, with a camera and optionally a background picture."""

    def __init__(self, model_file: str, camera_info: Any, **kwargs: Any) -> None:
        behind = kwargs.get("bg_image")
        shown = [model_file, camera_info]
        if behind is not None:
            [file] = ImageSaveHelper.save_images(behind[:1], temp_prefix(), FolderType.temp, None, compress_level=1)
            shown.append(f"temp/{file.filename}")
        super().__init__({"result": shown})


class PreviewText(Shown):
    def __init__(self, value: str, **_: Any) -> None:
        super().__init__({"text": (value,)})


class ImageSaveHelper:
    """Save pictures. The methods return the saved files, or for ``_ui`` an object to show."""

    @staticmethod
    def save_images(
        images: torch.Tensor, filename_prefix: str, folder_type: str, cls: Any = None, compress_level: int = 4
    ) -> list[SavedResult]:
        folder = str(FolderType(folder_type))
        files = save_pictures(
            images, prefix=filename_prefix, folder=folder, compress_level=compress_level, metadata=_metadata(cls)
        )
        return [_result(file) for file in files]

    @staticmethod
    def get_save_images_ui(
        images: torch.Tensor, filename_prefix: str, cls: Any = None, compress_level: int = 4
    ) -> SavedImages:
        saved = ImageSaveHelper.save_images(images, filename_prefix, FolderType.output, cls, compress_level)
        return SavedImages(saved)

    @staticmethod
    def save_animated_png(
        images: torch.Tensor, filename_prefix: str, folder_type: str, cls: Any, fps: float, compress_level: int
    ) -> SavedResult:
        file = _file(images, filename_prefix, folder_type, ".png")
        save_animated_png(
            file.path,
            list(byte_frames(images)),
            frame_s=1 / fps,
            compress_level=compress_level,
            metadata=_metadata(cls),
        )
        return _result(file)

    @staticmethod
    def get_save_animated_png_ui(
        images: torch.Tensor, filename_prefix: str, cls: Any, fps: float, compress_level: int
    ) -> SavedImages:
        saved = ImageSaveHelper.save_animated_png(images, filename_prefix, FolderType.output, cls, fps, compress_level)
        return SavedImages([saved], is_animated=len(images) > 1)

    @staticmethod
    def save_animated_webp(
        images: torch.Tensor,
        filename_prefix: str,
        folder_type: str,
        cls: Any,
        fps: float,
        lossless: bool,
        quality: int,
        method: int | str,
    ) -> SavedResult:
        file = _file(images, filename_prefix, folder_type, ".webp")
        save_webp(
            file.path,
            list(byte_frames(images)),
            frame_s=1 / fps,
            lossless=lossless,
            quality=quality,
            method=_WEBP_METHODS.get(method, 4) if isinstance(method, str) else method,
            metadata=_metadata(cls),
        )
        return _result(file)

    @staticmethod
    def get_save_animated_webp_ui(
        images: torch.Tensor,
        filename_prefix: str,
        cls: Any,
        fps: float,
        lossless: bool,
        quality: int,
        method: int | str,
    ) -> SavedImages:
        saved = ImageSaveHelper.save_animated_webp(
            images, filename_prefix, FolderType.output, cls, fps, lossless, quality, method
        )
        return SavedImages([saved], is_animated=len(images) > 1)


class AudioSaveHelper:
    """Save sounds."""

    @staticmethod
    def save_audio(
        audio: dict[str, Any],
        filename_prefix: str,
        folder_type: str,
        cls: Any,
        format: str = "flac",
        quality: str = "128k",
    ) -> list[SavedResult]:
        saved = save_sounds(
            audio,
            prefix=filename_prefix,
            format=_sound_format(format, quality),
            metadata=_metadata(cls),
            folder=str(FolderType(folder_type)),
        )
        return [SavedResult(**file) for file in saved.as_dict()["audio"]]

    @staticmethod
    def get_save_audio_ui(
        audio: dict[str, Any], filename_prefix: str, cls: Any, format: str = "flac", quality: str = "128k"
    ) -> SavedAudios:
        saved = AudioSaveHelper.save_audio(audio, filename_prefix, FolderType.output, cls, format, quality)
        return SavedAudios(saved)


def _sound_format(name: str, quality: str) -> SoundFormat:
    if name == "mp3":
        return mp3(quality)
    return opus(quality) if name == "opus" else FLAC


def _metadata(cls: Any) -> Metadata:
    hidden = getattr(cls, "hidden", None)
    return NO_METADATA if hidden is None else Metadata(hidden.prompt, hidden.extra_pnginfo)


def _file(images: torch.Tensor, prefix: str, folder: str, extension: str) -> OutputFile:
    height, width = images.shape[1:3]
    series = current().open_series(prefix, folder=str(FolderType(folder)), width=width, height=height)
    return series.file(0, extension)


def _result(file: OutputFile) -> SavedResult:
    return SavedResult(file.filename, file.subfolder, file.folder)

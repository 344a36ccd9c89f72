"""Containers and codecs of videos, and other values that packs create."""

from enum import StrEnum

from safelight.nodes.files.svg import SVG
from safelight.nodes.video.clip import VideoComponents


class VideoContainer(StrEnum):
    AUTO = "auto"
    MP4 = "mp4"

    @classmethod
    def as_input(cls) -> list[str]:
        return [member.value for member in cls]

    @classmethod
    def get_extension(cls, value: str) -> str:
        return "mp4" if value in ("mp4", "auto") else ""


class VideoCodec(StrEnum):
    AUTO = "auto"
    H264 = "h264"

    @classmethod
    def as_input(cls) -> list[str]:
        return [member.value for member in cls]


__all__ = ["SVG", "VideoCodec", "VideoComponents", "VideoContainer"]

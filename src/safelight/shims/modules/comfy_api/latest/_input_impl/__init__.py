"""Videos that packs create, from a file or from frames."""

from safelight.shims.modules.comfy_api.latest._input_impl.video_types import VideoFromComponents, VideoFromFile

__all__ = ["VideoFromComponents", "VideoFromFile"]

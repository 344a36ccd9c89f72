"""Videos that packs make: of a file, or of frames."""

from safelight.shims.modules.comfy_api.latest._input_impl.video_types import VideoFromComponents, VideoFromFile

__all__ = ["VideoFromComponents", "VideoFromFile"]

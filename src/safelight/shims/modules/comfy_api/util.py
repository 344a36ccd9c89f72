"""Types that describe videos."""

from safelight.shims.modules.comfy_api.latest._util import VideoCodec, VideoComponents, VideoContainer

__all__ = ["VideoCodec", "VideoComponents", "VideoContainer"]

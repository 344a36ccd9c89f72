"""The networks of LTX-Video and LTX-2 in the runs of ``families.py``."""

from benchmarks.against_comfyui.ltx_cases import METADATA

from safelight.models.families.ltx.sound_network import SoundArchitecture, SoundShape, StreamWidths
from safelight.models.families.ltx.video_network import VideoArchitecture, VideoShape, positions_of
from safelight.models.families.stable_audio.network import StableAudioArchitecture, StableAudioShape
from safelight.models.stored_network import Architecture

_VIDEO = VideoArchitecture(VideoShape(channels=128, width=256, context=96, feed_forward=1024, layers=2))

LTX_ARCHITECTURES: dict[str, Architecture] = {
    "ltx-video": _VIDEO,
    "stable audio": StableAudioArchitecture(
        StableAudioShape(
            channels=64,
            width=768,
            context=768,
            feed_forward=3072,
            layers=2,
            time_features=256,
            number_features=256,
            turned=32,
        )
    ),
    "ltx-video 0.9.5": _VIDEO,
    "ltx-2": SoundArchitecture(
        SoundShape(
            video=StreamWidths(channels=128, width=256, feed_forward=1024),
            audio=StreamWidths(channels=128, width=128, feed_forward=512),
            crossing=128,
            context=48,
            layers=2,
            positions=positions_of(METADATA["ltx-2"]),
        )
    ),
}

"""Qwen3-VL 32B as MiniMax H3's text encoder: the output of its layer 50. A prompt has no template; references stand
before it, each with its label and, if it can be seen, its pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from safelight.models.families.minimax_h3.frames import FRAMES_PER_SECOND
from safelight.models.language.picture_recipe import FramePair
from safelight.models.language.question_recipe import QWEN3_VL_RECIPE
from safelight.models.text.recipe import TextRecipe

STATE = 50
SEEN_PER_SECOND = 2
"""Frames of a film that the text encoder sees."""
_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


@dataclass
class Presentation:
    """Mutable: the text before a prompt, and the pictures in it."""

    text: str = ""
    pictures: list[torch.Tensor | FramePair] = field(default_factory=list)
    films: int = 0
    sounds: int = 0
    stills: int = 0

    def add_picture(self, image: torch.Tensor) -> None:
        """``image [1, H, W, 3]``."""
        self.stills += 1
        self.text += f"<Picture {self.stills}>: {_PICTURE}"
        self.pictures.append(image)

    def add_sound(self) -> None:
        self.sounds += 1
        self.text += f"<Audio {self.sounds}>: "

    def add_film(self, frames: torch.Tensor) -> None:
        """``frames [n, H, W, 3]`` at 24 a second. Its pictures are pairs of frames, with the mean of their times."""
        self.films += 1
        self.text += f"<Video {self.films}>: "
        for pair, seconds in seen_pairs(frames):
            self.text += f"<{seconds:.1f} seconds>{_PICTURE}"
            self.pictures.append(pair)


def seen_pairs(frames: torch.Tensor) -> Sequence[tuple[FramePair, float]]:
    """The pairs of frames that the text encoder sees, and their mean times in seconds; the last frame of an odd number
    is shown twice."""
    stride = FRAMES_PER_SECOND // SEEN_PER_SECOND
    seen = list(range(0, len(frames), stride))
    made = []
    for first in range(0, len(seen), 2):
        second = min(first + 1, len(seen) - 1)
        pair = FramePair(frames[[seen[first], seen[second]]])
        made.append((pair, (first + second) / 2 / SEEN_PER_SECOND))
    return made


H3_TEXT = TextRecipe(
    {"qwen3vl_32b": replace(QWEN3_VL_RECIPE, states=(STATE,), keeps_full_mask=False, marks_pictures=True)},
    types=("minimax",),
    title="MiniMax H3",
)

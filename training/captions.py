"""Captions of scenes, in many wordings, and the facts that a caption states."""

import random
from dataclasses import dataclass

from training.scenes import COLORS, PLACES, RELATIONS, SHAPES, SIZES, Scene, Thing

_STARTS = ("", "", "", "a picture of ", "a drawing of ", "an image of ", "a photo of ", "simple art, ")

_WHERE = {
    "center": ("in the center", "in the middle", "at the center"),
    "left": ("on the left", "at the left", "on the left side"),
    "right": ("on the right", "at the right", "on the right side"),
    "top": ("at the top", "on the top", "near the top"),
    "bottom": ("at the bottom", "on the bottom", "near the bottom"),
}

_RELATED = {
    "left of": ("to the left of", "left of", "on the left of"),
    "right of": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
}

NOTHING = (
    "",
    "",
    "",
    "text, watermark",
    "blurry, low quality",
    "text",
    "bad quality, worst quality",
    "watermark, ugly",
)
"""Typical negative prompts: trained as no condition."""


def caption(scene: Scene, rng: random.Random) -> tuple[str, Scene | None]:
    """Return a caption, and the scene that it describes."""
    first = _thing(scene.first, rng, with_size=scene.second is None)
    background = _background(scene.background, rng)
    if scene.second is not None and scene.relation is not None:
        second = _thing(scene.second, rng, with_size=False)
        body = f"{first} {rng.choice(_RELATED[scene.relation])} {second}"
    else:
        body = f"{first} {_where(scene.first.place, rng)}"
        if rng.random() < 0.25:
            body = f"{first}, {_where(scene.first.place, rng)},"
    start = rng.choice(_STARTS)
    words = f"{start}{body} {background}" if rng.random() < 0.8 else f"{scene.background} background, {body}"
    return words.replace(",,", ",").strip(", "), scene


def _thing(thing: Thing, rng: random.Random, *, with_size: bool) -> str:
    size = {
        "small": ("small", "little", "tiny"),
        "medium": ("", "medium", "medium sized"),
        "large": ("large", "big", "huge"),
    }
    words = [rng.choice(size[thing.size]) if with_size else "", thing.color, thing.shape]
    noun = " ".join(word for word in words if word)
    article = rng.choice(
        (f"a{'n' if noun[0] in 'aeiou' else ''} ", f"a{'n' if noun[0] in 'aeiou' else ''} ", "", "one ")
    )
    return f"{article}{noun}"


def _background(color: str, rng: random.Random) -> str:
    article = "an" if color[0] in "aeiou" else "a"
    return rng.choice(
        (
            f"on {article} {color} background",
            f"on {color}",
            f"on {article} {color} background",
            f"with {article} {color} background",
            f"against {color}",
        )
    )


def _where(place: str, rng: random.Random) -> str:
    if place in _WHERE:
        return rng.choice(_WHERE[place])
    return rng.choice((f"in the {place}", f"in the {place} corner", f"at the {place}"))


@dataclass(frozen=True)
class Question:
    """One fact that a caption states, as a choice between answers."""

    name: str
    answers: tuple[str, ...]

    def answer(self, scene: Scene) -> int:
        first, second = scene.first, scene.second
        value = {
            "background": scene.background,
            "color": first.color,
            "shape": first.shape,
            "size": first.size if second is None else "none",
            "place": first.place,
            "second color": second.color if second else "none",
            "second shape": second.shape if second else "none",
            "relation": scene.relation or "none",
        }[self.name]
        return self.answers.index(value)


QUESTIONS = (
    Question("background", tuple(COLORS)),
    Question("color", tuple(COLORS)),
    Question("shape", SHAPES),
    Question("size", (*SIZES, "none")),
    Question("place", tuple(PLACES)),
    Question("second color", (*COLORS, "none")),
    Question("second shape", (*SHAPES, "none")),
    Question("relation", (*RELATIONS, "none")),
)

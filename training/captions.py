"""Scenes in words, in many ways, and the facts that a caption tells."""

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
"""What people write where they want nothing in particular: trained as no condition."""


def caption(scene: Scene, dice: random.Random) -> tuple[str, Scene | None]:
    """The words; facts that they leave out are told by :func:`facts` alone where they are in the words."""
    first = _thing(scene.first, dice, with_size=scene.second is None)
    background = _background(scene.background, dice)
    if scene.second is not None and scene.relation is not None:
        second = _thing(scene.second, dice, with_size=False)
        body = f"{first} {dice.choice(_RELATED[scene.relation])} {second}"
    else:
        body = f"{first} {_where(scene.first.place, dice)}"
        if dice.random() < 0.25:
            body = f"{first}, {_where(scene.first.place, dice)},"
    start = dice.choice(_STARTS)
    words = f"{start}{body} {background}" if dice.random() < 0.8 else f"{scene.background} background, {body}"
    return words.replace(",,", ",").strip(", "), scene


def _thing(thing: Thing, dice: random.Random, *, with_size: bool) -> str:
    size = {
        "small": ("small", "little", "tiny"),
        "medium": ("", "medium", "medium sized"),
        "large": ("large", "big", "huge"),
    }
    words = [dice.choice(size[thing.size]) if with_size else "", thing.color, thing.shape]
    noun = " ".join(word for word in words if word)
    article = dice.choice(
        (f"a{'n' if noun[0] in 'aeiou' else ''} ", f"a{'n' if noun[0] in 'aeiou' else ''} ", "", "one ")
    )
    return f"{article}{noun}"


def _background(color: str, dice: random.Random) -> str:
    article = "an" if color[0] in "aeiou" else "a"
    return dice.choice(
        (
            f"on {article} {color} background",
            f"on {color}",
            f"on {article} {color} background",
            f"with {article} {color} background",
            f"against {color}",
        )
    )


def _where(place: str, dice: random.Random) -> str:
    if place in _WHERE:
        return dice.choice(_WHERE[place])
    return dice.choice((f"in the {place}", f"in the {place} corner", f"at the {place}"))


@dataclass(frozen=True)
class Question:
    """One thing that a caption tells, as a choice."""

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

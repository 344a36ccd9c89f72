"""Scenes of one or two coloured shapes: random scenes, and their pictures of 128x128 pixels."""

import math
import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

COLORS = {
    "red": (214, 40, 40),
    "orange": (245, 130, 32),
    "yellow": (250, 215, 50),
    "green": (50, 160, 70),
    "blue": (40, 90, 210),
    "purple": (125, 55, 165),
    "pink": (245, 150, 190),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
    "gray": (130, 130, 130),
}
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
SIZES = {"small": 15.0, "medium": 22.0, "large": 31.0}
"""Radii in pixels."""
PLACES = {
    "center": (0.5, 0.5),
    "left": (0.27, 0.5),
    "right": (0.73, 0.5),
    "top": (0.5, 0.27),
    "bottom": (0.5, 0.73),
    "top left": (0.27, 0.27),
    "top right": (0.73, 0.27),
    "bottom left": (0.27, 0.73),
    "bottom right": (0.73, 0.73),
}
RELATIONS = {
    "left of": ("left", "right"),
    "right of": ("right", "left"),
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
}
SIDE = 128

Side = Literal["all", "train", "held out"]


@dataclass(frozen=True, slots=True)
class Thing:
    color: str
    shape: str
    size: str
    place: str


@dataclass(frozen=True, slots=True)
class Scene:
    background: str
    first: Thing
    second: Thing | None = None
    relation: str | None = None

    @property
    def things(self) -> tuple[Thing, ...]:
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def is_held_out(self) -> bool:
        """One in twelve combinations of background, colour and shape is never trained on."""
        return any(_is_kept_from_training(self.background, thing) for thing in self.things)


def _is_kept_from_training(background: str, thing: Thing) -> bool:
    colors = list(COLORS)
    number = colors.index(background) * 7 + colors.index(thing.color) * 5 + SHAPES.index(thing.shape) * 11
    return number % 12 == 3


def random_scene(rng: random.Random, *, held_out: bool = False, pairs: float = 0.3) -> Scene:
    while True:
        scene = _any_scene(rng, pairs)
        if scene.is_held_out == held_out:
            return scene


def _any_scene(rng: random.Random, pairs: float) -> Scene:
    background, color, other = rng.sample(list(COLORS), 3)
    if rng.random() < pairs:
        relation = rng.choice(list(RELATIONS))
        here, there = RELATIONS[relation]
        size = rng.choice(("small", "medium"))
        first = Thing(color, rng.choice(SHAPES), size, here)
        return Scene(background, first, Thing(other, rng.choice(SHAPES), size, there), relation)
    return Scene(background, Thing(color, rng.choice(SHAPES), rng.choice(list(SIZES)), rng.choice(list(PLACES))))


def drawn(scene: Scene, rng: random.Random, *, detail: int = 4) -> np.ndarray:
    """``[128, 128, 3]`` uint8. ``rng`` moves, turns and resizes things a little."""
    picture = Image.new("RGB", (SIDE * detail, SIDE * detail), COLORS[scene.background])
    pen = ImageDraw.Draw(picture)
    for thing in scene.things:
        x, y = PLACES[thing.place]
        center = ((x * SIDE + rng.uniform(-3, 3)) * detail, (y * SIDE + rng.uniform(-3, 3)) * detail)
        radius = SIZES[thing.size] * rng.uniform(0.92, 1.08) * detail
        _draw(pen, thing, center, radius, COLORS[scene.background])
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def _draw(
    pen: ImageDraw.ImageDraw, thing: Thing, center: tuple[float, float], radius: float, behind: tuple[int, int, int]
) -> None:
    color = COLORS[thing.color]
    x, y = center

    def points(angles: list[float], radii: list[float]) -> list[tuple[float, float]]:
        return [(x + r * math.sin(a), y - r * math.cos(a)) for a, r in zip(angles, radii, strict=True)]

    match thing.shape:
        case "circle":
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
        case "ring":
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
            hole = radius * 0.55
            pen.ellipse((x - hole, y - hole, x + hole, y + hole), fill=behind)
        case "square":
            side = radius * 0.88
            pen.rectangle((x - side, y - side, x + side, y + side), fill=color)
        case "triangle":
            pen.polygon(points([0, 2 * math.pi / 3, 4 * math.pi / 3], [radius * 1.15] * 3), fill=color)
        case "star":
            pen.polygon(points([i * math.pi / 5 for i in range(10)], [radius * 1.15, radius * 0.5] * 5), fill=color)
        case "cross":
            arm = radius * 0.36
            pen.rectangle((x - radius, y - arm, x + radius, y + arm), fill=color)
            pen.rectangle((x - arm, y - radius, x + arm, y + radius), fill=color)

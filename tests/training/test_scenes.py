"""The images and captions that the bundled model was trained on, and the reader that scores it."""

import random

import pytest
from training.captions import QUESTIONS, caption
from training.scenes import COLORS, SHAPES, drawn, random_scene
from training.score import read


@pytest.mark.parametrize("held_out", [False, True])
def test_the_reader_reads_what_was_drawn(held_out: bool) -> None:
    rng = random.Random(3)
    for _ in range(60):
        scene = random_scene(rng, held_out=held_out, pairs=0.3)
        background, things = read(drawn(scene, rng))
        assert background == scene.background
        seen = {(thing.color, thing.shape, thing.place) for thing in things}
        assert seen == {(thing.color, thing.shape, thing.place) for thing in scene.things}


def test_scenes_that_are_held_out_are_never_trained_on() -> None:
    rng = random.Random(4)
    kept = {random_scene(rng, held_out=True) for _ in range(300)}
    trained = {random_scene(rng) for _ in range(3000)}
    assert not kept & trained
    assert {scene.first.color for scene in kept} == set(COLORS)
    assert {scene.first.shape for scene in kept} == set(SHAPES)


def test_captions_tell_the_scene() -> None:
    rng = random.Random(5)
    for _ in range(200):
        scene = random_scene(rng, pairs=0.5)
        words = caption(scene, rng)[0]
        assert all(f"{thing.color} {thing.shape}" in words for thing in scene.things)
        assert scene.background in words
        assert all(0 <= question.answer(scene) < len(question.answers) for question in QUESTIONS)

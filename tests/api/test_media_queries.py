"""Queries about files: facts about a video, and the layers of a mask."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.api.client import Client
from tests.api.test_files import png, upload

pytestmark = pytest.mark.anyio


@pytest.fixture
def films() -> Any:
    """The helpers that make films. They need numpy, which a server does not."""
    return pytest.importorskip("tests.media.films", reason="numpy is not installed")


async def test_a_films_facts(client: Client, tmp_path: Path, films: Any) -> None:
    data = films.film(tmp_path / "f.mp4", count=12, rate=Fraction(24)).read_bytes()
    await upload(client, data, "film.mp4", subfolder="s")
    source = (await client.get("/api/vhs/queryvideo?filename=s/film.mp4")).json["source"]
    assert (source["size"], source["fps"], source["frames"]) == ([64, 48], 24, 12)
    assert source["duration"] == pytest.approx(0.5, abs=0.05)


async def test_frames_are_counted_where_the_header_does_not(client: Client, tmp_path: Path, films: Any) -> None:
    path = films.film(tmp_path / "f.webm", count=7, rate=Fraction(30000, 1001), format=films.av1_webm(50))
    await upload(client, path.read_bytes(), "film.webm", type="temp")
    source = (await client.get("/api/vhs/queryvideo?filename=film.webm")).json["source"]
    assert source["frames"] == 7
    assert source["fps"] == pytest.approx(29.97, abs=0.01)


async def test_what_is_no_film_is_400(client: Client) -> None:
    await upload(client, b"hello", "x.txt")
    for query in ("filename=x.txt", "filename=nothing.mp4", "filename=../x", ""):
        assert (await client.get(f"/api/vhs/queryvideo?{query}")).status == 400


async def test_layers_of_a_mask(client: Client) -> None:
    for layer in ("mask", "paint", "painted", "painted-masked"):
        if layer != "paint":
            await upload(client, png(alpha=len(layer)), f"clipspace-{layer}-17.png", subfolder="clipspace")
    await upload(client, png(), "other.png")
    expected = {
        "mask": "clipspace-mask-17.png",
        "paint": None,
        "painted": "clipspace-painted-17.png",
        "painted_masked": "clipspace-painted-masked-17.png",
    }
    for name in ("clipspace-mask-17.png", "clipspace/clipspace-painted-masked-17.png [input]"):
        assert (await client.get(f"/api/files/mask-layers?filename={name}")).json == expected
    for name in ("other.png", "nothing.png", "clipspace-paint-17.png", "../x"):
        assert (await client.get(f"/api/files/mask-layers?filename={name}")).status == 404

"""What a user's web UI remembers."""

import pytest
from tests.database import ANNA, BEN, Desk

from safelight.core.errors import Invalid
from safelight.services import setting

pytestmark = pytest.mark.anyio


async def test_settings_are_merged_and_keep_their_types(desk: Desk) -> None:
    await desk.do(setting.put, ANNA, values={"Comfy.X": 5, "Comfy.Y": {"a": [1]}, "Comfy.Z": None})
    await desk.do(setting.put, ANNA, values={"Comfy.X": 1.25, "Comfy.W": False})
    expected = {"Comfy.W": False, "Comfy.X": 1.25, "Comfy.Y": {"a": [1]}, "Comfy.Z": None}
    assert await desk.look(setting.load, ANNA) == expected
    assert await desk.look(setting.get, ANNA, key="Comfy.Y") == {"a": [1]}
    assert await desk.look(setting.get, ANNA, key="Comfy.Z") is None
    assert await desk.look(setting.get, ANNA, key="nope") is None
    await desk.do(setting.put, ANNA, values={})
    assert await desk.look(setting.load, ANNA) == expected


async def test_settings_are_their_owners(desk: Desk) -> None:
    await desk.do(setting.put, ANNA, values={"Comfy.X": 5})
    await desk.do(setting.put, BEN, values={"Comfy.X": 6})
    assert await desk.look(setting.load, ANNA) == {"Comfy.X": 5}
    assert await desk.look(setting.load, BEN) == {"Comfy.X": 6}


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_a_length(desk: Desk, key: str) -> None:
    with pytest.raises(Invalid):
        await desk.do(setting.put, ANNA, values={"good": 1, key: 1})
    assert await desk.look(setting.load, ANNA) == {}

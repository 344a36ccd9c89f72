"""The settings of a user's web UI."""

import pytest
from tests.database import ANNA, BEN, Env

from safelight.core.errors import Invalid
from safelight.services import setting

pytestmark = pytest.mark.anyio


async def test_settings_are_merged_and_keep_their_types(env: Env) -> None:
    await env.do(setting.put, ANNA, values={"Comfy.X": 5, "Comfy.Y": {"a": [1]}, "Comfy.Z": None})
    await env.do(setting.put, ANNA, values={"Comfy.X": 1.25, "Comfy.W": False})
    expected = {"Comfy.W": False, "Comfy.X": 1.25, "Comfy.Y": {"a": [1]}, "Comfy.Z": None}
    assert await env.read(setting.load, ANNA) == expected
    assert await env.read(setting.get, ANNA, key="Comfy.Y") == {"a": [1]}
    assert await env.read(setting.get, ANNA, key="Comfy.Z") is None
    assert await env.read(setting.get, ANNA, key="nope") is None
    await env.do(setting.put, ANNA, values={})
    assert await env.read(setting.load, ANNA) == expected


async def test_settings_are_their_owners(env: Env) -> None:
    await env.do(setting.put, ANNA, values={"Comfy.X": 5})
    await env.do(setting.put, BEN, values={"Comfy.X": 6})
    assert await env.read(setting.load, ANNA) == {"Comfy.X": 5}
    assert await env.read(setting.load, BEN) == {"Comfy.X": 6}


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_a_length(env: Env, key: str) -> None:
    with pytest.raises(Invalid):
        await env.do(setting.put, ANNA, values={"good": 1, key: 1})
    assert await env.read(setting.load, ANNA) == {}

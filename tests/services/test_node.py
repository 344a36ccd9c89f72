"""The catalogue of the last engine, for a server that starts without one."""

from collections.abc import Sequence

import pytest
from tests.database import Env, at

from safelight.core.engine_kind import OWN, EngineKind
from safelight.core.node import InputSchema, NodeSchema, OutputSchema, Section
from safelight.services import node

pytestmark = pytest.mark.anyio

BLUR = NodeSchema(
    name="Blur",
    display_name="Blur",
    category="image",
    inputs=(
        InputSchema("image", "IMAGE"),
        InputSchema("radius", "INT", Section.OPTIONAL, {"default": 1, "max": 2**64 - 1}),
    ),
    outputs=(OutputSchema("IMAGE", "IMAGE", options=("a", "b")),),
)
INVERT = NodeSchema(name="Invert", display_name="Invert", category="image", inputs=(), outputs=())


async def save(env: Env, nodes: list[NodeSchema], second: float) -> str:
    body = node.encode(nodes)
    digest = node.digest_of(body)
    await env.do(node.save, OWN, digest=digest, body=body, now=at(second))
    return digest


async def latest(env: Env) -> Sequence[NodeSchema]:
    return (await env.read(node.load_latest))[OWN].nodes


async def test_the_latest_catalogue_comes_back_as_it_was(env: Env) -> None:
    assert await env.read(node.load_latest) == {}
    both = await save(env, [INVERT, BLUR], 1)
    assert await latest(env) == [BLUR, INVERT]
    await save(env, [BLUR], 2)
    assert await latest(env) == [BLUR]
    assert await save(env, [BLUR, INVERT], 3) == both
    assert await latest(env) == [BLUR, INVERT]


async def test_each_engine_kind_has_a_latest_catalogue_of_its_own(env: Env) -> None:
    comfyui = EngineKind("comfyui")
    await save(env, [BLUR], 1)
    body = node.encode([INVERT])
    await env.do(node.save, comfyui, digest=node.digest_of(body), body=body, now=at(2))
    assert await latest(env) == [BLUR]
    assert (await env.read(node.load_latest))[comfyui] == node.Declared(node.digest_of(body), [INVERT])


async def test_a_catalogue_of_another_form_is_none(env: Env) -> None:
    body = b"\xc1 not msgpack"
    await env.do(node.save, OWN, digest=node.digest_of(body), body=body, now=at(1))
    assert await env.read(node.load_latest) == {}

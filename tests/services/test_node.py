"""The catalogue of the last engine, for a server that starts without one."""

import pytest
from tests.database import Env, at

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
    await env.do(node.save, digest=digest, body=body, now=at(second))
    return digest


async def test_the_latest_catalogue_comes_back_as_it_was(env: Env) -> None:
    assert await env.read(node.load_latest) == {}
    both = await save(env, [INVERT, BLUR], 1)
    assert await env.read(node.load_latest) == {"Blur": BLUR, "Invert": INVERT}
    await save(env, [BLUR], 2)
    assert await env.read(node.load_latest) == {"Blur": BLUR}
    assert await save(env, [BLUR, INVERT], 3) == both
    assert sorted(await env.read(node.load_latest)) == ["Blur", "Invert"]


async def test_a_catalogue_of_another_form_is_none(env: Env) -> None:
    body = b"\xc1 not msgpack"
    await env.do(node.save, digest=node.digest_of(body), body=body, now=at(1))
    assert await env.read(node.load_latest) == {}

"""What of a workflow travels: no credential, and all else as it was."""

import json
from typing import Any

import pytest

from safelight.core.errors import Invalid
from safelight.core.publication import is_credential_name, read_document, without_credentials

KEY = "comfyui-0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "apiKey",
        "auth_token_comfy_org",
        "api_key_comfy_org",
        "openai_api_key",
        "Password",
        "hf_token",
        "token",
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert is_credential_name(name)


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "keyframe", "secretary", "author", "text", "", "tokenizer"])
def test_names_of_other_things(name: str) -> None:
    assert not is_credential_name(name)


def test_credentials_are_emptied_and_nothing_else_is_touched() -> None:
    document: dict[str, Any] = {
        "extra": {"api_key_comfy_org": "anything", "deep": [{"password": "p", "steps": 20}]},
        "nodes": [
            {"id": 1, "type": "Text", "widgets_values": ["a cat", f"Bearer {KEY} !", 7]},
            {
                "id": 2,
                "type": "Chat",
                "inputs": [{"name": "model", "type": "STRING"}, {"name": "key", "widget": {"name": "api_key"}}],
                "widgets_values": ["gpt", "short", 3, True],
            },
            {"id": 3, "type": "Get", "widgets_values": {"url": "https://me:pw@example.org/x", "token": "t"}},
        ],
        "max_tokens": 5,
        "token": 9,
    }
    before = json.dumps(document)
    clean = without_credentials(document)
    assert json.dumps(document) == before
    assert clean["extra"] == {"api_key_comfy_org": "", "deep": [{"password": "", "steps": 20}]}
    assert clean["nodes"][0]["widgets_values"] == ["a cat", "Bearer  !", 7]
    assert clean["nodes"][1]["widgets_values"] == ["", "", 3, True]
    assert clean["nodes"][2]["widgets_values"] == {"url": "https://example.org/x", "token": ""}
    assert (clean["max_tokens"], clean["token"]) == (5, 9)


@pytest.mark.parametrize(
    "key",
    [
        "comfyui-0a1b2c3d4e5f_abcdefghijklmnop",
        "sk-abcdefghijklmnopqrst",
        "hf_abcdefghijklmnopqrst",
        "eyJhbGciOiJI.eyJzdWIiOiIx.abc",
    ],
)
def test_keys_are_known_by_their_look(key: str) -> None:
    assert without_credentials({"a": [f"x {key}"]}) == {"a": ["x "]}


def test_workflow_without_credentials_is_the_same() -> None:
    document = {
        "nodes": [{"widgets_values": ["a photograph of a cat", 20, 8.0, None]}],
        "links": [[1, 2, 0, 3, 0, "X"]],
    }
    assert without_credentials(document) == document


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"1", b"\xff", b'{"a":' * 5000, b'{"a":' * 200 + b"1" + b"}" * 200])
def test_what_is_no_workflow(data: bytes) -> None:
    with pytest.raises(Invalid):
        read_document(data)


def test_a_workflow_may_be_nested() -> None:
    assert read_document(b'{"a":' * 120 + b"1" + b"}" * 120)

"""Requests to the operator's identity provider. Each blocks, with a time limit and a limit of size."""

import base64
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import msgspec

TIMEOUT_S = 10.0
_LARGEST = 1024 * 1024


class ProviderFailed(Exception):
    """The provider does not answer, or refuses. The message has no secrets."""


def get_json(url: str, *, bearer: str = "") -> Mapping[str, Any]:
    headers = {"accept": "application/json"} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
    return _read(urllib.request.Request(url, headers=headers))


def post_form(url: str, body: str, *, client: tuple[str, str]) -> Mapping[str, Any]:
    """``client``: its id and secret, sent as HTTP Basic (RFC 6749, 2.3.1); without a secret, the body names it."""
    headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
    if client[1]:
        pair = ":".join(urllib.parse.quote_plus(part) for part in client)
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return _read(urllib.request.Request(url, body.encode(), headers))


def _read(request: urllib.request.Request) -> Mapping[str, Any]:
    where = request.full_url.partition("?")[0]
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            body = response.read(_LARGEST + 1)
    except urllib.error.HTTPError as error:
        raise ProviderFailed(f"{where} returned {error.code}") from None
    except (OSError, ValueError) as error:
        raise ProviderFailed(f"{where} does not answer: {type(error).__name__}") from None
    try:
        answer = msgspec.json.decode(body)
    except msgspec.DecodeError:
        answer = None
    if len(body) > _LARGEST or not isinstance(answer, dict):
        raise ProviderFailed(f"{where} returned no JSON object")
    return answer

"""Uploads in the form of Comfy API v2: all fields, then the file."""

from collections.abc import Mapping

from blake3 import blake3
from tests.api.client import Answer, Client


def digest_of(data: bytes) -> str:
    return f"blake3:{blake3(data).hexdigest()}"


async def upload(
    client: Client, data: bytes, *, path: str = "photo.png", headers: Mapping[str, str] | None = None, **fields: str
) -> Answer:
    given = {"content_type": "image/png", "file_path": path, **fields}
    return await client.upload("/api/v2/assets", given, headers=headers, file=("photo.png", data))

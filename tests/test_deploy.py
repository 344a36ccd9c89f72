"""``deploy/`` uses only commands and settings that exist."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from safelight import settings as sources
from safelight.settings import GROUP_OF, Settings

DEPLOY = Path(__file__).parent.parent / "deploy"
SETTINGS = set(GROUP_OF)


def check(environment: Mapping[str, str]) -> Settings:
    """Load them as the server does."""
    names = {name.removeprefix("SAFELIGHT_").lower() for name in environment if name.startswith("SAFELIGHT_")}
    assert names <= SETTINGS
    return sources.load(overrides={}, environment=environment)


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def test_the_compose_file_names_what_it_uses() -> None:
    document = compose()
    services = document["services"]
    for name, service in services.items():
        assert {*service.get("depends_on", ())} <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in document["volumes"] or (DEPLOY / source).exists(), (name, source)
    for backend in re.findall(r"server \w+ ([\w-]+):8188", (DEPLOY / "haproxy.cfg").read_text("utf-8")):
        assert backend in services


SERVERS = [
    name for name in yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"] if "server-" in name
]


@pytest.mark.parametrize("name", SERVERS)
def test_the_servers_of_the_compose_file_know_their_settings(name: str) -> None:
    server = compose()["services"][name]
    settings = check(server["environment"])
    assert settings.storage.replicas
    keys = json.loads((DEPLOY / "s3.json").read_text("utf-8"))["identities"][0]["credentials"][0]
    assert (settings.storage.blob_access_key, settings.storage.blob_secret_key) == (
        keys["accessKey"],
        keys["secretKey"],
    )

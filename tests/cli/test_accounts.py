"""Accounts changed from the command line while a server runs."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import aiohttp
import pytest
from tests.cli.server import running


def safelight(*arguments: str, data_dir: Path, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "safelight.cli", *arguments, "--data-dir", str(data_dir)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin)


def user_id(url: str, **headers: str) -> str | None:
    """The user that the server authenticates by these headers; ``None``: none."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/api/user", headers=headers)) as answer:
            return str(json.load(answer)["id"])
    except HTTPError as error:
        if error.code != 401:
            raise
        return None


def test_a_running_server_notices_changes_of_accounts(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        assert user_id(server.url) == "local"
        added = safelight("user", "add", "Anna", "--password-stdin", data_dir=tmp_path, stdin="long enough\n")
        assert (added.returncode, added.stdout) == (0, "anna may sign in.\n"), added.stderr
        made = safelight("key", "create", "anna", data_dir=tmp_path)
        headers = {"X-API-Key": made.stdout.strip()}
        wait_until_shut(server.url)
        anna = user_id(server.url, **headers)
        assert anna is not None
        assert anna in safelight("user", "list", data_dir=tmp_path).stdout
        assert safelight("user", "disable", "anna", data_dir=tmp_path).returncode == 0
        wait_until_shut(server.url, **headers)
        assert made.stdout.strip() not in "".join(server.lines)


def wait_until_shut(url: str, **headers: str) -> None:
    """Within the promised second, and another one for a busy machine."""
    begun = time.monotonic()
    while user_id(url, **headers) is not None:
        assert time.monotonic() - begun < 2


def test_keys_are_never_logged(tmp_path: Path) -> None:
    """Not at the most verbose level, whether sent in the URL of a socket or in a header, valid or wrong."""
    assert safelight("user", "add", "anna", "--no-password", data_dir=tmp_path).returncode == 0
    key = safelight("key", "create", "anna", data_dir=tmp_path).stdout.strip()
    with running(tmp_path, "--log-level", "debug") as server:
        asyncio.run(use(server.url, key))
        assert user_id(server.url, **{"X-API-Key": key + "x"}) is None
        server.stop()
        assert key[:30] not in "".join(server.lines)


async def use(url: str, key: str) -> None:
    async with aiohttp.ClientSession(url) as session, session.ws_connect(f"/ws?clientId=a&token={key}") as socket:
        assert (await socket.receive_json())["type"] == "status"
        async with session.get("/api/user", headers={"Authorization": f"Bearer {key}"}) as answer:
            assert answer.status == 200
        for path, status in (("/api/jobs", 200), ("/api/view", 400), ("/api/nothing", 404), ("/nothing", 404)):
            async with session.get(f"{path}?token={key}") as answer:
                assert answer.status == status


def test_a_damaged_database_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "safelight.db").write_bytes(b"no database" * 1000)
    command = [sys.executable, "-m", "safelight", "serve", "--port", "0", "--data-dir", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1
    [line] = ran.stderr.strip().splitlines()
    assert line.startswith("safelight: the database is damaged (file is not a database); restore a backup")


def test_the_first_start_with_accounts_prints_a_link(tmp_path: Path) -> None:
    with running(tmp_path, "--accounts") as server:
        assert user_id(server.url) is None
        while not any("/setup#" in line for line in server.lines):
            assert server.process.poll() is None
        assert safelight("user", "add", "anna", "--no-password", data_dir=tmp_path).returncode == 0
    with running(tmp_path, "--host", "0.0.0.0") as server:  # with accounts, beyond loopback
        assert user_id(server.url) is None
        assert not any("/setup#" in line for line in server.lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("user", "add", "a b"), "invalid user name"),
        (("user", "add", "anna", "--password-stdin"), "A password has 8 to 1024 characters; this one has 0"),
        (("user", "set", "nobody"), "there is no user 'nobody'"),
        (("user", "add", "anna", "--no-password", "--subject", "1"), "--issuer and --subject must be given together"),
        (("key", "create", "nobody"), "there is no user 'nobody'"),
        (("key", "revoke", "nokey"), "there is no key 'nokey'"),
    ],
)
def test_mistakes_are_reported_in_one_line(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    ran = safelight(*arguments, data_dir=tmp_path)
    assert ran.returncode == 1
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1

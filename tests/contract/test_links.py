"""Create, read, change, delete over HTTP, in any order that hypothesis chooses, compared with a model.

Every response is also checked against the contract's schema. One state machine for each noun, so that failures shrink
separately.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from tests.api.client import Answer, check
from tests.api.prompts import picture
from tests.contract.fuzzing import Address, served

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20)
GRAPHS = st.dictionaries(
    st.text(max_size=5), st.recursive(st.integers(0, 9) | st.text(max_size=5), st.lists), max_size=3
)
FILES = st.sampled_from(["a.json", "b.json", "workflows/a.json", "workflows/ü \U0001f5bc.json", "deep/er/x"])


IDLE_S = 2.0
"""A server closes a connection that was idle for 5 s; a client that sends just then loses its request."""


class Session:
    """Requests of one user on a connection of its own."""

    def __init__(self, address: Address) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address.url).netloc, timeout=120)
        self._key = address.key
        self._used_at = time.monotonic()

    def send(self, method: str, path: str, body: Any = None, *, expect: int, **headers: str) -> Any:
        """The response's JSON, or its bytes. ``body``: bytes are sent unchanged, anything else as JSON."""
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if time.monotonic() - self._used_at > IDLE_S:
            self._connection.close()  # the next request opens another
        self._connection.request(method, path, content, {"X-API-Key": self._key, **headers})
        response = self._connection.getresponse()
        answer = Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read())
        self._used_at = time.monotonic()
        assert answer.status == expect, (method, path, answer.status, answer.body)
        check(method, path, answer)
        return answer.json if answer.headers.get("content-type") == "application/json" else answer.body

    def close(self) -> None:
        self._connection.close()


class Machine(RuleBasedStateMachine):
    address: Address

    def __init__(self) -> None:
        super().__init__()
        self.session = Session(self.address)
        self.send = self.session.send

    def teardown(self) -> None:
        self.session.close()


class Workflows(Machine):
    ids = Bundle("ids")
    gone = Bundle("gone")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, dict[str, Any]] = {}

    @rule(target=ids, name=NAMES, graph=GRAPHS)
    def create(self, name: str, graph: Any) -> str:
        made = self.send("POST", "/api/workflows", {"name": name, "workflow_json": graph}, expect=201)
        self.model[made["id"]] = {"name": name, "versions": [graph]}
        return str(made["id"])

    @rule(of=ids, name=NAMES)
    def rename(self, of: str, name: str) -> None:
        self.send("PATCH", f"/api/workflows/{of}", {"name": name}, expect=200)
        self.model[of]["name"] = name

    @rule(of=ids, graph=GRAPHS, off_by=st.integers(-2, 2))
    def save(self, of: str, graph: Any, off_by: int) -> None:
        versions = self.model[of]["versions"]
        body = {"base_version": len(versions) + off_by, "workflow_json": graph}
        self.send("POST", f"/api/workflows/{of}/versions", body, expect=409 if off_by else 201)
        if not off_by:
            versions.append(graph)

    @rule(target=ids, of=ids, back=st.integers(0, 5))
    def fork(self, of: str, back: int) -> Any:
        versions = self.model[of]["versions"]
        version = max(1, len(versions) - back)
        made = self.send("POST", f"/api/workflows/{of}/fork", {"source_version": version}, expect=201)
        self.model[made["id"]] = {"name": self.model[of]["name"], "versions": [versions[version - 1]]}
        self.send("POST", f"/api/workflows/{of}/fork", {"source_version": len(versions) + 1}, expect=404)
        return made["id"]

    @rule(of=ids)
    def read(self, of: str) -> None:
        model = self.model[of]
        seen = self.send("GET", f"/api/workflows/{of}", expect=200)
        assert (seen["name"], seen["latest_version"]) == (model["name"], len(model["versions"]))
        content = self.send("GET", f"/api/workflows/{of}/content", expect=200)
        assert (content["workflow_json"], content["version"]) == (model["versions"][-1], len(model["versions"]))

    @rule(target=gone, of=consumes(ids))
    def delete(self, of: str) -> str:
        self.send("DELETE", f"/api/workflows/{of}", expect=204)
        del self.model[of]
        return of

    @rule(of=gone)
    def miss(self, of: str) -> None:
        self.send("GET", f"/api/workflows/{of}", expect=404)
        self.send("PATCH", f"/api/workflows/{of}", {"name": "x"}, expect=404)
        self.send("DELETE", f"/api/workflows/{of}", expect=404)

    @invariant()
    def are_listed(self) -> None:
        listed = self.send("GET", "/api/workflows?limit=100", expect=200)["data"]
        mine = {workflow["id"]: workflow["name"] for workflow in listed if workflow["id"] in self.model}
        assert mine == {workflow_id: model["name"] for workflow_id, model in self.model.items()}

    def teardown(self) -> None:
        for workflow_id in self.model:
            self.send("DELETE", f"/api/workflows/{workflow_id}", expect=204)
        super().teardown()


class Userdata(Machine):
    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}

    @rule(path=FILES, content=st.binary(min_size=1, max_size=20), overwrite=st.booleans())
    def write(self, path: str, content: bytes, overwrite: bool) -> None:
        refused = path in self.model and not overwrite
        query = f"?overwrite={str(overwrite).lower()}"
        self.send("POST", self._url(path) + query, content, expect=409 if refused else 200)
        if not refused:
            self.model[path] = content

    @rule(path=FILES)
    def read(self, path: str) -> None:
        content = self.send("GET", self._url(path), expect=200 if path in self.model else 404)
        assert path not in self.model or content == self.model[path]

    @rule(path=FILES, to=FILES, overwrite=st.booleans())
    def move(self, path: str, to: str, overwrite: bool) -> None:
        there = path in self.model
        refused = there and path != to and to in self.model and not overwrite
        url = f"{self._url(path)}/move/{quote(to, safe='')}?overwrite={str(overwrite).lower()}"
        self.send("POST", url, expect=404 if not there else 409 if refused else 200)
        if there and not refused:
            self.model[to] = self.model.pop(path)

    @rule(path=FILES)
    def delete(self, path: str) -> None:
        self.send("DELETE", self._url(path), expect=204 if path in self.model else 404)
        self.model.pop(path, None)

    @invariant()
    def are_listed(self) -> None:
        listed = self.send("GET", "/api/userdata?recurse=true", expect=200)
        assert {file["path"]: file["size"] for file in listed} == {p: len(c) for p, c in self.model.items()}

    def teardown(self) -> None:
        for path in list(self.model):
            self.delete(path)
        super().teardown()

    def _url(self, path: str) -> str:
        return f"/api/userdata/{quote(path, safe='')}"


class Jobs(Machine):
    ids = Bundle("ids")

    @rule(target=ids, prefix=st.sampled_from(["a", "b/c"]))
    def submit(self, prefix: str) -> str:
        return str(self.send("POST", "/api/prompt", {"prompt": picture(prefix)}, expect=200)["prompt_id"])

    @rule(of=ids)
    def read(self, of: str) -> None:
        seen = self.send("GET", f"/api/jobs/{of}", expect=200)
        state = self.send("GET", f"/api/job/{of}/status", expect=200)
        assert seen["id"] == state["id"] == of
        listed = self.send("GET", "/api/jobs?limit=1000", expect=200)["jobs"]
        assert of in {job["id"] for job in listed}

    @rule(of=ids)
    def cancel(self, of: str) -> None:
        self.send("POST", f"/api/jobs/{of}/cancel", expect=200)
        again = self.send("POST", f"/api/jobs/{of}/cancel", expect=200)
        assert again == {"cancelled": False}

    @rule(of=consumes(ids))
    def forget(self, of: str) -> None:
        self.send("POST", f"/api/jobs/{of}/cancel", expect=200)
        self._wait_for_end(of)
        self.send("POST", "/api/history", {"delete": [of]}, expect=200)
        self.send("GET", f"/api/history_v2/{of}", expect=404)

    def _wait_for_end(self, of: str) -> None:
        for _ in range(1000):
            if self.send("GET", f"/api/jobs/{of}", expect=200)["status"] in ("completed", "failed", "cancelled"):
                return
        raise AssertionError(f"{of} does not end")


class Assets(Machine):
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, dict[str, Any]] = {}

    @rule(target=ids, data=st.binary(min_size=1, max_size=30), name=st.sampled_from(["a.txt", "b.bin"]))
    def upload(self, data: bytes, name: str) -> str:
        head = f'--frontier\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        words = {"content-type": "multipart/form-data; boundary=frontier"}
        made = self.send("POST", "/api/assets", head + data + b"\r\n--frontier--\r\n", expect=201, **words)
        if made["created_new"]:
            self.model[made["id"]] = {"name": made["name"], "tags": set(made["tags"]), "size": len(data)}
        assert made["id"] in self.model
        return str(made["id"])

    @rule(of=ids, name=st.sampled_from(["c.txt", "ü.txt"]))
    def rename(self, of: str, name: str) -> None:
        there = of in self.model
        self.send("PUT", f"/api/assets/{of}", {"name": name}, expect=200 if there else 404)
        if there:
            self.model[of]["name"] = name

    @rule(of=ids, tag=st.sampled_from(["red", "blue"]), adds=st.booleans())
    def tag(self, of: str, tag: str, adds: bool) -> None:
        there = of in self.model
        method = "POST" if adds else "DELETE"
        self.send(method, f"/api/assets/{of}/tags", {"tags": [tag]}, expect=200 if there else 404)
        if there:
            (self.model[of]["tags"].add if adds else self.model[of]["tags"].discard)(tag)

    @rule(of=ids)
    def read(self, of: str) -> None:
        seen = self.send("GET", f"/api/assets/{of}", expect=200 if of in self.model else 404)
        if of in self.model:
            assert {"name": seen["name"], "tags": set(seen["tags"]), "size": seen["size"]} == self.model[of]

    @rule(of=ids)
    def delete(self, of: str) -> None:
        self.send("DELETE", f"/api/assets/{of}", expect=204 if of in self.model else 404)
        self.model.pop(of, None)

    @rule(tag=st.sampled_from(["red", "blue"]))
    def list(self, tag: str) -> None:
        query = urlencode({"include_tags": tag, "limit": 100, "include_public": "false"})
        listed = self.send("GET", f"/api/assets?{query}", expect=200)["assets"]
        assert {a["id"] for a in listed} == {i for i, model in self.model.items() if tag in model["tags"]}

    def teardown(self) -> None:
        for asset_id in self.model:
            self.send("DELETE", f"/api/assets/{asset_id}", expect=204)
        super().teardown()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Address]:
    with served(tmp_path_factory.mktemp("links"), migrated) as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Workflows, Userdata, Jobs, Assets], ids=lambda m: m.__name__)
def test_create_read_change_delete(machine: type[Machine], address: Address) -> None:
    class Here(machine):  # type: ignore[misc, valid-type]
        pass

    Here.address = address
    settings = hypothesis.settings(
        max_examples=5, stateful_step_count=12, deadline=None, database=None, derandomize=True
    )
    run: Callable[..., None] = run_state_machine_as_test
    run(Here, settings=settings)

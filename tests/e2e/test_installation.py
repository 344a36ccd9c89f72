"""A whole installation: PostgreSQL, an object store, a Ray cluster of two nodes, two servers behind a plain balancer.

Twenty users queue 500 jobs of four kinds while an engine, a node of the cluster, the server that leads and the other
server are killed in turn. No job is lost or ends twice, each has its files, and each user learns of every end by
its socket (after a killed server breaks it, the client reconnects and reads the lists, as clients do).
"""

import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from tests import postgres
from tests.cli.server import Server, launch
from tests.e2e.balancer import Balancer
from tests.ray_cluster import Nodes
from tests.seaweedfs import SeaweedFS

from safelight.core.clock import SystemClock
from safelight.db.engine import Database
from safelight.db.transaction import Transaction
from safelight.services import key as keys
from safelight.services import user as users

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(900)]

USERS, JOBS = 20, 500
SEED = 20261129
LIMIT_S = 600
PACK = """
import time


class Works:
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls):
        seed = ("INT", {"max": 2**53})
        return {"required": {"seconds": ("FLOAT", {"max": 1e6}), "fails": ("BOOLEAN",), "seed": seed}}

    def run(self, seconds, fails, seed):
        time.sleep(seconds)
        if fails:
            raise ValueError("it was to fail")
        return {"ui": {"text": ["done"]}}


NODE_CLASS_MAPPINGS = {"Works": Works}
"""
TERMINAL = {"execution_success", "execution_error", "execution_interrupted"}


@dataclass
class Job:
    """``ends``: terminal messages that the owner's socket received."""

    id: str
    prompt: Mapping[str, Any]
    status: str
    files: int = 0
    ends: int = 0


def make_job(number: int) -> Job:
    kind = number % 4
    if kind == 0:
        prompt: dict[str, Any] = {
            "1": {"class_type": "PrimitiveInt", "inputs": {"value": number}},
            "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        }
        return Job(_id(number), prompt, "completed")
    if kind == 1:
        size = {"width": 16, "height": 16, "batch_size": 1, "color": number}
        prompt = {
            "1": {"class_type": "EmptyImage", "inputs": size},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "p"}},
        }
        return Job(_id(number), prompt, "completed", files=1)
    inputs = {"seconds": 0.2 if kind == 2 else 0.0, "fails": kind == 3, "seed": number}
    return Job(_id(number), {"1": {"class_type": "Works", "inputs": inputs}}, "failed" if kind == 3 else "completed")


def _id(number: int) -> str:
    return str(uuid.UUID(int=random.Random(SEED + number).getrandbits(128), version=4))


@dataclass
class User:
    """A typical client: repeats requests that got no response, and reconnects when its socket breaks."""

    key: str
    jobs: dict[str, Job]
    breaks: int = 0
    ended: set[str] = field(default_factory=set)

    async def submit_all(self, http: aiohttp.ClientSession, url: str, pause_s: float) -> None:
        for job in self.jobs.values():
            await self._submit(http, url, job)
            await asyncio.sleep(pause_s)

    async def _submit(self, http: aiohttp.ClientSession, url: str, job: Job) -> None:
        body = {"prompt": job.prompt, "prompt_id": job.id}
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with http.post(f"{url}/api/prompt", json=body, headers=self._headers) as answer:
                    if answer.status == 200 or (answer.status == 409 and await self.status_of(http, url, job.id)):
                        return
                    assert answer.status >= 500 or answer.status == 429, await answer.text()
            await asyncio.sleep(0.2)

    async def listen(self, http: aiohttp.ClientSession, url: str) -> None:
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with http.ws_connect(f"{url}/ws?clientId={uuid.uuid4().hex}", headers=self._headers) as socket:
                    await self._look(http, url)  # for jobs that ended while there was no socket
                    async for frame in socket:
                        if frame.type is aiohttp.WSMsgType.TEXT:
                            self._heard(json.loads(frame.data))
            self.breaks += 1
            await asyncio.sleep(0.1)

    def _heard(self, message: Mapping[str, Any]) -> None:
        if message["type"] in TERMINAL and (job := self.jobs.get(message["data"]["prompt_id"])) is not None:
            job.ends += 1
            self.ended.add(job.id)

    async def _look(self, http: aiohttp.ClientSession, url: str) -> None:
        for job_id in set(self.jobs) - self.ended:
            if await self.status_of(http, url, job_id) in ("completed", "failed", "cancelled"):
                self.ended.add(job_id)

    async def status_of(self, http: aiohttp.ClientSession, url: str, job_id: str) -> str | None:
        async with http.get(f"{url}/api/jobs/{job_id}", headers=self._headers) as answer:
            return str((await answer.json())["status"]) if answer.status == 200 else None

    async def detail(self, http: aiohttp.ClientSession, url: str, job_id: str) -> Mapping[str, Any]:
        async with http.get(f"{url}/api/jobs/{job_id}", headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    async def file(self, http: aiohttp.ClientSession, url: str, image: Mapping[str, str]) -> bytes:
        async with http.get(f"{url}/api/view", params=image, headers=self._headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    @property
    def _headers(self) -> Mapping[str, str]:
        return {"X-API-Key": self.key}


async def make_users(url: str) -> Sequence[User]:
    db = await Database.open(url, on_commit=lambda events: None)

    def add(tx: Transaction, number: int) -> str:
        now = SystemClock().now()
        users.add(tx, name=f"user-{number}", is_admin=False, now=now)
        return keys.create(tx, user_name=f"user-{number}", now=now).text

    made = []
    for number in range(USERS):
        texts = await db.write(lambda tx, number=number: add(tx, number))  # type: ignore[misc]
        jobs = [make_job(n) for n in range(number, JOBS, USERS)]
        made.append(User(texts, {job.id: job for job in jobs}))
    await db.close()
    return made


class Installation:
    """Mutable: the current servers."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self.servers: list[Server] = []
        self.past: list[Server] = []
        self.balancer = Balancer([])

    async def start_server(self) -> Server:
        server = await asyncio.to_thread(launch, self._folder / "data", environment=self._environment)
        self.servers.append(server)
        self._point()
        return server

    async def kill_server(self, *, leading: bool) -> None:
        """Kill one of the servers and start another one on another port."""
        leaders = [s for s in self.servers if any("this server is the leader, in epoch" in line for line in s.lines)]
        leader = leaders[-1] if leaders else self.servers[0]
        doomed = leader if leading else next(s for s in self.servers if s is not leader)
        self.servers.remove(doomed)
        self.past.append(doomed)
        self._point()
        await asyncio.to_thread(doomed.stop, signal.SIGKILL)
        await self.start_server()

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def _point(self) -> None:
        self.balancer.backends = [("127.0.0.1", urlsplit(s.url).port or 0) for s in self.servers]


def kill_an_engine(rng: random.Random, folder: Path) -> None:
    found = subprocess.run(["pgrep", "-f", "safelight.runtime.main"], capture_output=True, text=True).stdout.split()
    own = [int(pid) for pid in found if str(folder) in Path(f"/proc/{pid}/environ").read_text("utf-8", "replace")]
    assert own, "no engine of this installation runs"
    os.kill(rng.choice(own), signal.SIGKILL)


@pytest.mark.parametrize("scratch", ["", "scratch"], ids=["shared-folders", "carried-files"])
async def test_nothing_is_lost_or_doubled_while_every_process_is_killed(
    tmp_path: Path, postgres_server: str, s3: SeaweedFS, ray_nodes: Nodes, scratch: str
) -> None:
    packs = tmp_path / "packs"
    packs.mkdir()
    (packs / "works.py").write_text(PACK)
    url = postgres.create_database(postgres_server, "installation")
    people = await make_users(url)
    doomed = ray_nodes.add(slots=2)
    survivor = ray_nodes.add(slots=2)
    environment = {
        "SAFELIGHT_DATABASE_URL": url,
        "SAFELIGHT_REPLICAS": "1",
        "SAFELIGHT_BACKEND": "ray",
        "SAFELIGHT_RAY_ADDRESS": ray_nodes.address,
        "SAFELIGHT_WORKERS": "3",
        "SAFELIGHT_WEB": "0",
        "SAFELIGHT_CUSTOM_NODES": str(packs),
        "SAFELIGHT_RAY_SCRATCH": str(tmp_path / scratch) if scratch else "",
        **s3.environment(f"installation{scratch}"),
    }
    installation = Installation(tmp_path, environment)
    rng = random.Random(SEED)
    with ExitStack() as stack:
        stack.callback(installation.stop)
        await installation.balancer.start()
        await installation.start_server()
        await installation.start_server()
        at = f"http://127.0.0.1:{installation.balancer.port}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as http:
            listening = [asyncio.create_task(person.listen(http, at)) for person in people]
            submitting = [asyncio.create_task(person.submit_all(http, at, 0.1)) for person in people]
            harm: Sequence[tuple[int, Callable[[], Awaitable[None]]]] = (
                (40, lambda: asyncio.to_thread(kill_an_engine, rng, tmp_path)),
                (120, lambda: asyncio.to_thread(ray_nodes.kill, doomed)),
                (220, lambda: installation.kill_server(leading=True)),
                (340, lambda: installation.kill_server(leading=False)),
            )
            async with asyncio.timeout(LIMIT_S):
                for count, do in harm:
                    await until(lambda count=count: sum(len(p.ended) for p in people) >= count)  # type: ignore[misc]
                    await do()
                await asyncio.gather(*submitting)
                await until(lambda: sum(len(p.ended) for p in people) >= JOBS)
            await asyncio.sleep(1)  # for messages that must not come
            for task in listening:
                task.cancel()
            await check(people, http, at)
        assert any(person.breaks for person in people)
        again = int(postgres.execute(url, "SELECT count(*) FROM job WHERE attempt - releases > 1"))
        lines = [line for server in (*installation.past, *installation.servers) for line in server.lines]
        resumed = sum("reattached to attempt " in line for line in lines)
        assert again + resumed > 0, "whatever was killed, no job had to do with it"
        breaks = sum(person.breaks for person in people)
        print(f"{again} jobs of {JOBS} ran twice, {resumed} went on under another server; {breaks} sockets broke")
        await installation.balancer.stop()
    ray_nodes.remove(survivor)
    postgres.drop_database(postgres_server, "installation")


async def check(people: Sequence[User], http: aiohttp.ClientSession, url: str) -> None:
    statuses: Counter[tuple[str, str]] = Counter()
    for person in people:
        assert person.ended == set(person.jobs)
        names = []
        for job in person.jobs.values():
            detail = await person.detail(http, url, job.id)
            statuses[(job.status, detail["status"])] += 1
            images = [i for out in (detail.get("outputs") or {}).values() for i in out.get("images", ())]
            assert len(images) == job.files, detail
            names += [(image["subfolder"], image["filename"]) for image in images]
            for image in itertools.islice(images, 1):
                assert (await person.file(http, url, image)).startswith(b"\x89PNG")
        assert len(set(names)) == len(names)
        twice = [job.id for job in person.jobs.values() if job.ends > 1]
        assert not twice, f"ends that were told twice on one socket: {twice}"
    assert set(statuses) == {("completed", "completed"), ("failed", "failed")}, statuses
    assert sum(statuses.values()) == JOBS


async def until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(0.05)

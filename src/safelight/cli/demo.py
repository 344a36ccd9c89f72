"""``safelight demo``: start a server, run a text-to-image workflow with the bundled model, and save the picture."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import aiohttp
import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from safelight.cli.console import out
from safelight.core.errors import SafelightError

START_LIMIT_S = 120.0
"""Long enough for a worker's first start, which imports torch from a cold disk."""


class DemoFailed(SafelightError):
    """The demo could not make its picture; the message names the step that failed."""


@click.command()
@click.option(
    "--port", type=int, default=8188, show_default=True, help="Port of the server; if it is in use, a free one."
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="The server's data folder.",
)
@click.option(
    "--out",
    "out_dir",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder for the picture.",
)
@click.option("--once", is_flag=True, help="Exit after the picture instead of keeping the server running.")
def demo(port: int, data_dir: Path, out_dir: Path, once: bool) -> None:
    """Start a server on this machine, run a workflow with the bundled model, and save the picture."""
    port = port if _is_free(port) else 0
    port = port or _free_port()
    command = [sys.executable, "-m", "safelight.cli", "serve", "--log-level", "warning"]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(data_dir)])
    try:
        url = f"http://127.0.0.1:{port}"
        path = asyncio.run(_make_picture(url, out_dir, server))
        out.print(f"\n[bold]The picture[/]  {path.resolve()}")
        if once:
            return
        out.print(f"[bold]The web UI[/]   {url}   (Ctrl-C stops the server)")
        server.wait()
    except KeyboardInterrupt:
        out.print("")
    finally:
        _stop(server)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


async def _make_picture(url: str, out_dir: Path, server: "subprocess.Popen[bytes]") -> Path:
    columns = (SpinnerColumn(), TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
    async with aiohttp.ClientSession(url, raise_for_status=_raise_for_status) as client:
        with Progress(*columns, console=out) as bar:
            task = bar.add_task("Starting the server", total=None)
            await _wait_until_ready(client, server)
            prompt = json.loads((files("safelight.cli") / "demo_workflow.json").read_text("utf-8"))
            bar.update(task, description="Running the workflow", total=len(prompt), completed=0)
            job = await _run(client, prompt, lambda done, text: bar.update(task, completed=done, description=text))
            bar.update(task, description="Done", completed=len(prompt))
        [image] = [i for output in job["outputs"].values() for i in output.get("images", ())]
        async with client.get("/api/view", params={k: image[k] for k in ("filename", "subfolder", "type")}) as response:
            data = await response.read()
    out_dir.mkdir(parents=True, exist_ok=True)
    path = out_dir / str(image["filename"])
    path.write_bytes(data)
    return path


async def _wait_until_ready(client: aiohttp.ClientSession, server: "subprocess.Popen[bytes]") -> None:
    """Wait until ``object_info`` lists nodes: the server is up in a second or two, the first worker takes longer."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise DemoFailed(f"the server exited with code {server.returncode} before it was ready")
        try:
            async with client.get("/api/object_info") as response:
                if "SaveImage" in await response.json():
                    return
        except (aiohttp.ClientError, DemoFailed):
            pass
        await asyncio.sleep(0.1)
    raise DemoFailed(f"the server was not ready within {START_LIMIT_S:.0f} s")


async def _run(
    client: aiohttp.ClientSession, prompt: dict[str, Any], report: Callable[[int, str], None]
) -> dict[str, Any]:
    """Submit the prompt as any client does, follow the WebSocket to the end, and return the job's details."""
    client_id = uuid.uuid4().hex
    async with client.ws_connect(f"/ws?clientId={client_id}") as socket:
        async with client.post("/api/prompt", json={"prompt": prompt, "client_id": client_id}) as response:
            job_id = (await response.json())["prompt_id"]
        done: set[str] = set()
        async for frame in socket:
            if frame.type is not aiohttp.WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            kind, data = message["type"], message["data"]
            if data.get("prompt_id") != job_id:
                continue
            if kind == "execution_error":
                raise DemoFailed(f"node {data['node_id']} ({data['node_type']}): {data['exception_message'].strip()}")
            if kind == "execution_cached":
                done |= set(data["nodes"])
            if kind == "progress_state":
                done |= {n for n, state in data["nodes"].items() if state["state"] == "finished"}
            if kind == "executing":
                if data["node"] is None:
                    break
                report(len(done), prompt.get(data["node"], {}).get("_meta", {}).get("title", data["node"]))
    async with client.get(f"/api/jobs/{job_id}") as response:
        job: dict[str, Any] = await response.json()
    if job["status"] != "completed":
        raise DemoFailed(f"the job ended as {job['status']}")
    return job


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if not response.ok:
        request = f"{response.method} {response.url.path}"
        raise DemoFailed(f"{request} returned {response.status}: {(await response.text())[:500]}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

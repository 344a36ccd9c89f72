"""An engine that follows a script of what it reports about a job, for tests of what clients then see."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from blake3 import blake3
from tests.events import output, report

from safelight.core.event import CallFinished, CallsCached, CallStarted, NodeCall
from safelight.core.job import JobError, JobState
from safelight.core.node import InputSchema, NodeSchema, OutputSchema, Section
from safelight.core.worker import Device, EngineInfo
from safelight.wire.messages import CancelJob, JobDone, Ready, RunJob, SavedFile, ToEngine, ToServer


def node(name: str, *inputs: InputSchema, outputs: tuple[str, ...] = (), is_output: bool = False) -> NodeSchema:
    return NodeSchema(
        name=name,
        display_name=name,
        category="test",
        inputs=inputs,
        outputs=tuple(OutputSchema(kind, kind) for kind in outputs),
        is_output=is_output,
        listed_combos=True,
    )


NODES = [
    node("LoadImage", InputSchema("image", "COMBO", config={"image_upload": True}), outputs=("IMAGE", "MASK")),
    node(
        "ImageScale",
        InputSchema("image", "IMAGE"),
        InputSchema("width", "INT", config={"min": 0, "max": 16384}),
        outputs=("IMAGE",),
    ),
    node("ImageInvert", InputSchema("image", "IMAGE"), outputs=("IMAGE",)),
    node(
        "SaveImage",
        InputSchema("images", "IMAGE"),
        InputSchema("filename_prefix", "STRING", config={"default": "ComfyUI"}),
        InputSchema("prompt", "PROMPT", Section.HIDDEN),
        is_output=True,
    ),
    node("EmptyImage", InputSchema("color", "INT", config={"default": 0}), outputs=("IMAGE",)),
    node("PreviewAny", InputSchema("source", "*"), is_output=True),
    node(
        "CheckpointLoader",
        InputSchema("ckpt_name", "COMBO", config={"model_folder": "checkpoints"}),
        outputs=("MODEL",),
    ),
]

INFO = EngineInfo("3.11.0", "2.13.0", (Device("cpu", "cpu", None, 8 << 30, 4 << 30),), pid=1, host="studio")
READY = Ready(info=INFO, nodes=NODES)

Script = Callable[[RunJob], Iterable[ToServer]]


def call(node_id: str) -> NodeCall:
    return NodeCall(node_id, node_id, None, node_id)


class Engine:
    """Mutable: ``script``: what the engine reports for the next jobs; ``jobs``: those that were sent to it."""

    def __init__(self) -> None:
        self.script: Script = run_all
        self.jobs: list[RunJob] = []
        self.others: list[ToEngine] = []

    def __call__(self, message: ToEngine) -> Iterable[ToServer]:
        if isinstance(message, RunJob):
            self.jobs.append(message)
            return list(self.script(message))
        self.others.append(message)
        if isinstance(message, CancelJob):
            return [JobDone(job_id=message.job_id, attempt=message.attempt, outcome=JobState.CANCELLED)]
        return []


def run_all(job: RunJob) -> Iterable[ToServer]:
    """Every node in the order of the prompt; ``SaveImage`` writes a file, ``PreviewAny`` shows a text."""
    ids = {"job_id": job.job_id, "attempt": job.attempt}
    yield report(CallsCached(call_ids=[]), **ids)
    executed = []
    for node_id, node in job.prompt.items():
        yield report(CallStarted(call=call(node_id)), **ids)
        if node["class_type"] == "SaveImage":
            yield output(**ids, call=call(node_id), **saved(job, f"{node['inputs']['filename_prefix']}_00001_.png"))
        if node["class_type"] == "PreviewAny":
            yield output(**ids, call=call(node_id), ui={"text": ["4"]})
        executed.append(node_id)
        yield report(CallFinished(call=call(node_id)), **ids)
    yield JobDone(**ids, outcome=JobState.COMPLETED, executed=executed)


def all_cached(job: RunJob) -> Iterable[ToServer]:
    ids = {"job_id": job.job_id, "attempt": job.attempt}
    yield report(CallsCached(call_ids=list(job.prompt)), **ids)
    last = next(reversed(job.prompt))
    ui = {"images": [{"filename": "cap_00001_.png", "subfolder": "", "type": "output"}]}
    yield output(**ids, call=call(last), ui=ui, cached=True)
    yield report(CallFinished(call=call(last)), **ids)
    yield JobDone(**ids, outcome=JobState.COMPLETED)


def fail_first(job: RunJob) -> Iterable[ToServer]:
    ids = {"job_id": job.job_id, "attempt": job.attempt}
    [node_id, *_] = job.prompt
    yield report(CallsCached(call_ids=[]), **ids)
    yield report(CallStarted(call=call(node_id)), **ids)
    error = JobError(
        exception_type="re.error",
        exception_message="missing ), unterminated subpattern at position 0\n",
        node_id=node_id,
        node_type=job.prompt[node_id]["class_type"],
        traceback=['  File "nodes/text.py", line 3, in execute\n'],
        current_inputs={"string": ["abc"]},
        current_outputs=["1", "2"],
    )
    yield JobDone(**ids, outcome=JobState.FAILED, error=error)


def start_only(job: RunJob) -> Iterable[ToServer]:
    """Start the first node and report nothing more; a cancel ends the job."""
    ids = {"job_id": job.job_id, "attempt": job.attempt}
    [node_id, *_] = job.prompt
    yield report(CallsCached(call_ids=[]), **ids)
    yield report(CallStarted(call=call(node_id)), **ids)


def saved(job: RunJob, filename: str) -> dict[str, Any]:
    path = Path(job.staging, filename)
    content = b"\x89PNG\r\n\x1a\n" + hashlib.sha256(filename.encode()).digest()
    path.write_bytes(content)
    file = SavedFile("output", "", filename, str(path), len(content), blake3(content).hexdigest(), "image/png")
    return {"ui": {"images": [{"filename": filename, "subfolder": "", "type": "output"}]}, "files": [file]}

"""A real engine process with the packs of these tests, for all tests of a module."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.dispatch.engines import Bench, bench, node

from safelight.core.job import JobState
from safelight.wire.messages import FileRef, JobDone, LogLines, OutputReady, Ready, SavedFile

PACKS = Path(__file__).parent / "custom_nodes"


@dataclass
class Ran:
    """The messages of a job, and how it ended."""

    messages: list[Any]
    done: JobDone

    def of_kind(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def shown(self) -> dict[str, Any]:
        """The ui outputs by call id."""
        return {m.made.call.id: m.made.output for m in self.of_kind(OutputReady)}

    @property
    def text(self) -> str:
        """The first text output."""
        return str(next(ui["text"][0] for ui in self.shown.values() if ui and "text" in ui))

    @property
    def files(self) -> list[SavedFile]:
        return [file for m in self.of_kind(OutputReady) for file in m.files]

    @property
    def lines(self) -> list[str]:
        return [line for m in self.of_kind(LogLines) for _, line in m.lines]


@dataclass
class Engine:
    bench: Bench
    ready: Ready
    runner: asyncio.Runner

    def run(self, prompt: Mapping[str, Any], *targets: str, **options: Any) -> Ran:
        """Run a job to its end, whatever the outcome."""
        outputs = [i for i, n in prompt.items() if n["class_type"].endswith(("Show", "Save", "Preview", "Note"))]
        messages, done = self.runner.run(self.bench.run(prompt, *(targets or outputs), **options))
        return Ran(messages, done)

    def complete(self, prompt: Mapping[str, Any], *targets: str, **options: Any) -> Ran:
        ran = self.run(prompt, *targets, **options)
        assert ran.done.outcome is JobState.COMPLETED, ran.done.error
        return ran


@contextmanager
def running(staging: Path, **config: Any) -> Iterator[Engine]:
    with asyncio.Runner() as runner:
        options = {"node_packages": ("safelight.nodes",), "custom_nodes": (str(PACKS),)} | config
        under_test = bench(staging, **options)
        runner.run(under_test.backend.start(under_test.listener))
        yield Engine(under_test, runner.run(under_test.ready()), runner)
        runner.run(under_test.backend.stop())


def file_ref(path: Path, mime_type: str = "image/png") -> FileRef:
    return FileRef("0" * 64, path.stat().st_size, mime_type, str(path))


__all__ = ["PACKS", "Engine", "Ran", "file_ref", "node", "running"]

"""The page ``docs/reference/templates.md``: which official templates run, and why the others do not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.templates import smaller


@dataclass(frozen=True)
class Row:
    """``reason``: empty if it runs; its part before the colon is its kind."""

    name: str
    usage: int
    models: tuple[str, ...]
    reason: str
    files: int = 0
    seconds: float = 0.0


HEAD = """# The official templates

ComfyUI's template packages, pinned in the extra `web`, have {count} templates that need no paid service.
`python -m benchmarks.templates` converts each one in a browser with the pinned web UI, writes miniature weights
(`safelight model miniature`) under the names of its model files, runs the graph on a server and looks for the files
that come out. So "runs" means: every node is there, the files are recognised, and the whole graph computes on networks
of the true layout and quantisation; it says nothing about pictures. The numbers are compared elsewhere:
[parity.md](parity.md).

**{runs} of {count} run; they are {share:.1f} % of use**, by the index's own counter of {usage:,} (a hint of demand, not
a census).

Made smaller, so that two cores of a CPU can run it: pictures and films of at most {side} pixels a side and {frames}
frames, {steps} steps of sampling, {tokens} tokens from a language model, 2 seconds of sound; `FluxKontextImageScale`,
which always makes a million pixels, is replaced by `ImageScale`, and `Painter` gets no strokes. Models, other nodes,
links, samplers and schedules are the template's.

| why not | templates | % of use |
|---|---|---|
{reasons}

| template | % of use | models | runs |
|---|---|---|---|
{rows}
"""


def page(rows: Sequence[Row]) -> str:
    usage = sum(row.usage for row in rows) or 1
    running = [row for row in rows if not row.reason]
    kinds = Counter(_kind(row.reason) for row in rows if row.reason)
    used = Counter[str]()
    for row in rows:
        if row.reason:
            used[_kind(row.reason)] += row.usage
    return HEAD.format(
        count=len(rows),
        runs=len(running),
        share=100 * sum(row.usage for row in running) / usage,
        usage=usage,
        side=smaller.SIDE,
        frames=smaller.FRAMES,
        steps=smaller.STEPS,
        tokens=smaller.TOKENS,
        reasons="\n".join(f"| {kind} | {n} | {100 * used[kind] / usage:.1f} |" for kind, n in kinds.most_common()),
        rows="\n".join(_row(row, usage) for row in rows),
    )


def _row(row: Row, usage: int) -> str:
    result = f"no: {row.reason}" if row.reason else "yes"
    cells = (row.name, f"{100 * row.usage / usage:.2f}", ", ".join(row.models), result)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"


def _kind(reason: str) -> str:
    return reason.split(":")[0]

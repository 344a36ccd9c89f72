"""The dashboard and the alert rules use metrics, labels and label values that exist."""

import json
import re
from pathlib import Path

import yaml
from tests.database import NOW

from safelight.core.job import JobState
from safelight.core.worker import SlotState
from safelight.telemetry.metrics import Metrics
from safelight.telemetry.snapshot import Snapshot, families

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
STATE = Snapshot(now=NOW, waiting={}, oldest={}, stored_bytes={}, slots=(), sockets=0, is_leader=True)


def queries() -> list[str]:
    panels = json.loads((DEPLOY / "dashboard.json").read_text())["panels"]
    groups = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    return shown + [rule["expr"] for group in groups for rule in group["rules"]]


def names() -> set[str]:
    """The names of all samples that a server can report."""
    text = Metrics(version="1").render(families(STATE)).decode()
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(kind, [""])
        found |= {name + ending for ending in endings}
    return found


def test_each_metric_exists() -> None:
    used = {name for query in queries() for name in re.findall(r"safelight_\w+", query)}
    assert used
    assert used <= names()


def test_each_state_exists() -> None:
    used = {value for query in queries() for value in re.findall(r'state="(\w+)"', query)}
    assert used
    assert used <= {state.value for state in (*SlotState, *JobState)}


def test_the_page_lists_every_metric() -> None:
    page = (DEPLOY.parents[1] / "docs" / "operate" / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `(safelight_\w+)`", page, re.MULTILINE))
    assert listed == {name for name in names() if not name.endswith(("_bucket", "_count", "_sum"))} | {
        name.removesuffix("_count") for name in names() if name.endswith("_count")
    }

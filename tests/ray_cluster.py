"""A real Ray cluster on this machine: a head with slots, and as many other nodes as a test needs."""

import importlib.util
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SLOT_RESOURCE = "safelight-slot"
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


def is_installed() -> bool:
    return importlib.util.find_spec("ray") is not None


@dataclass
class Nodes:
    """Mutable: the nodes of the cluster."""

    cluster: Any
    alive: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, *, slots: int, **labels: str) -> Any:
        """Add a node; ``labels``: its pools."""
        node = self.cluster.add_node(
            num_cpus=0, resources={SLOT_RESOURCE: slots}, labels={f"safelight-pool/{name}": "yes" for name in labels}
        )
        self.alive.append(node)
        return node

    def remove(self, node: Any) -> None:
        """Remove a node from the cluster in an orderly way."""
        self.alive.remove(node)
        self.cluster.remove_node(node, allow_graceful=True)

    def kill(self, node: Any) -> None:
        """Kill a node as a power failure does: none of its processes can do anything more."""
        self.alive.remove(node)
        for pid in _family(node.all_processes["raylet"][0].process.pid):
            os.kill(pid, signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)


@contextmanager
def running(*, slots: int) -> Iterator[Nodes]:
    """A cluster whose head has ``slots`` slots and one resource ``lonely``. This process is connected to it."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.update(QUIET)
    logging.getLogger("ray").setLevel(logging.ERROR)
    resources = {SLOT_RESOURCE: slots, "lonely": 1}
    head = {"num_cpus": 0, "include_dashboard": False, "resources": resources}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = Nodes(cluster)
    try:
        handler = signal.getsignal(signal.SIGTERM)
        ray.init(address=nodes.address, namespace="safelight", log_to_driver=False, configure_logging=False)
        signal.signal(signal.SIGTERM, handler)
        yield nodes
    finally:
        ray.shutdown()
        cluster.shutdown()
        for name in QUIET:
            os.environ.pop(name, None)


def _family(pid: int) -> list[int]:
    """A process and all its descendants, itself first."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()
    ]
    return [pid] + [each for child in children for each in _family(child)]

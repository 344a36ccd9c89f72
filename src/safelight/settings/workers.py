"""The workers: how many, where they run, what they may use and when they end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from safelight.settings.declare import Bytes, PositiveSeconds, Seconds, doc


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """Workers"""

    workers: Annotated[
        int,
        doc(
            "Number of worker processes of each engine, one for each slot, on this machine or on a Ray cluster; "
            "`auto`: one for each GPU of this machine.",
            ge=1,
        ),
    ] = 1
    backend: Annotated[
        Literal["local", "ray"],
        doc("Where workers run: `local`, on this machine; `ray`, on a Ray cluster: [ray.md](ray.md)."),
    ] = "local"
    devices: Annotated[
        tuple[str, ...],
        doc(
            "A device for each worker (`cpu`, `cuda:0` ...).",
            default="every GPU, in turn; else the CPU",
        ),
    ] = ()
    cache_bytes: Annotated[
        Bytes, doc("Memory that a worker may use to cache results of nodes.", default="a quarter of the memory")
    ] = 0
    rss_limit_bytes: Annotated[
        Bytes, doc("A worker that uses more memory than this is restarted between two jobs.", default="never")
    ] = 0
    spare_workers: Annotated[
        int,
        doc(
            "Workers that have a second process beside them, which has started and waits: if the first is lost, it "
            "takes its place within half a second. Each takes the memory of an idle worker. Local workers of "
            "Safelight's own engine only.",
            default="none",
            ge=0,
        ),
    ] = 0
    cancel_grace_s: Annotated[
        Seconds, doc("Time that a cancelled job has to stop by itself before its worker is killed.")
    ] = 5.0
    lease_s: Annotated[
        PositiveSeconds,
        doc(
            "A worker that hears nothing from the server for this long ends itself, and its job is retried. On a "
            "cluster, this is how long jobs continue without a server."
        ),
    ] = 30.0
    worker_idle_s: Annotated[
        Seconds,
        doc(
            "A worker without a job for this long is stopped, which frees its memory, its device and its place in the "
            "cluster. Waiting jobs start it again: [scheduling.md](scheduling.md).",
            default="never",
        ),
    ] = 0.0
    workers_awake: Annotated[int, doc("Minimum number of workers kept running.", ge=0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """Ray"""

    ray_address: Annotated[
        str,
        doc(
            "`auto`: the cluster of this machine's own node; `host:port` of a head; `ray://host:port` of a proxy.",
            min_length=1,
        ),
    ] = "auto"
    ray_namespace: Annotated[str, doc("Namespace of the workers' actors in the cluster.", min_length=1)] = "safelight"
    ray_scratch: Annotated[
        str,
        doc(
            "A folder on each worker machine's own disk for what workers read and write; files are copied between it "
            "and an S3 store: [ray.md](ray.md).",
            default="none; all machines share `data_dir`",
        ),
    ] = ""
    ray_resources: Annotated[
        tuple[str, ...],
        doc(
            "What a worker reserves on its node: `num_gpus=1`, `num_cpus=4`, `memory=...` or a resource of your own.",
            default="a GPU if the cluster has any, else a `safelight-slot`",
        ),
    ] = ()

    @property
    def ray_amounts(self) -> Mapping[str, float]:
        """The amount of each resource that a worker reserves. Raises :class:`ValueError`."""
        pairs = (text.rpartition("=") for text in self.ray_resources)
        amounts = {name: float(amount) for name, _, amount in pairs}
        if "" in amounts or not all(0 < amount < float("inf") for amount in amounts.values()):
            raise ValueError(self.ray_resources)
        return amounts

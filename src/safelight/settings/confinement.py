"""What workers may read, write and reach."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from safelight.settings.declare import Bytes, doc


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfinementSettings:
    """Confinement of workers"""

    worker_user: Annotated[
        str,
        doc(
            "Account (name or number) that workers run as, if the server runs as root; `root`: the same as the server.",
            default="`safelight-worker` or `nobody`, if it can start Python and read what workers read; else root",
        ),
    ] = ""
    worker_network: Annotated[
        bool, doc("Let workers reach the network, for node packs that download or call services.")
    ] = False
    worker_writable: Annotated[
        tuple[Path, ...], doc("Further folders that workers may write to, besides their own.")
    ] = ()
    worker_readable: Annotated[
        tuple[Path, ...],
        doc(
            "Further files and folders that workers may read, besides models, node packs, Python and the system's "
            "libraries."
        ),
    ] = ()
    worker_home: Annotated[
        str,
        doc(
            "A folder that is the home of all workers and is kept, for node packs that download into their cache.",
            default="an empty one for each worker process",
        ),
    ] = ""
    worker_address_space_bytes: Annotated[
        Bytes,
        doc("Largest address space of a worker. CUDA reserves far more than it uses.", default="no limit"),
    ] = 0
    worker_file_bytes: Annotated[Bytes, doc("Largest file that a worker may write.", default="no limit")] = 0

"""The engine process, ``python -m safelight.runtime.main --fd N --parent PID --server PID``: the worker column's
composition root.

``N`` is the inherited end of the pipe. Its first frame is the :class:`~safelight.wire.config.EngineConfig`; the first
message back is ``Ready``, with every node. The pipe is never standard output, so printed text cannot corrupt a message.
"""

import argparse
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from safelight.core.device import visible_devices
from safelight.core.errors import SafelightError
from safelight.core.model_folders import ExtraPlace
from safelight.graph.cache import LimitedCache
from safelight.runtime import devices, packs, printing
from safelight.runtime.background import BackgroundLoop
from safelight.runtime.bound_call import V1Objects
from safelight.runtime.engine import Engine
from safelight.runtime.import_journal import LoadJournal, journal_of
from safelight.runtime.job_loop import WorkerState
from safelight.runtime.lease_watchdog import LeaseWatchdog
from safelight.runtime.outbox import Outbox
from safelight.runtime.pack_copies import copy_packs
from safelight.runtime.pack_server import PackRoutes
from safelight.runtime.process_ends import defer_ends
from safelight.sandbox.confine import confine
from safelight.sandbox.lifetime import die_with, offer_to_the_oom_killer
from safelight.sandbox.rules import Rules
from safelight.shims.registered import run_routes_in, take_routes
from safelight.wire.config import EngineConfig
from safelight.wire.messages import Ready, ToEngine
from safelight.wire.pipe import Pipe
from safelight.worker.context import WorkerContext, set_worker_context
from safelight.worker.local_copies import LocalCopies


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--server", type=int, help="the server whose keeper the parent is; default: the parent")
    parser.add_argument("--unkept", action="append", default=[], help="a rule that the keeper could not enforce")
    options = parser.parse_args()
    die_with(options.parent)
    offer_to_the_oom_killer()
    pipe: Pipe[Any] = Pipe(socket.socket(fileno=options.fd), EngineConfig | ToEngine)
    os.set_inheritable(options.fd, False)  # a program that a node starts must not hold the pipe open
    messages = pipe.read()
    config = next(messages, None)
    if not isinstance(config, EngineConfig):
        sys.exit("the server closed the pipe before it sent a configuration")
    if config.model_copies:
        make_folder(Path(config.model_copies), config.rules)
    unkept_rules = confine(config.rules) if config.rules is not None else ()
    die_with(options.parent)  # again: the system drops the setting when the process changes its user
    run(config, pipe, messages, server=options.server or options.parent, unkept_rules=[*options.unkept, *unkept_rules])


def run(
    config: EngineConfig, pipe: Pipe[Any], messages: Iterator[Any], *, server: int, unkept_rules: Sequence[str]
) -> None:
    outbox = Outbox(pipe.write)
    watchdog = LeaseWatchdog(config.lease_s, has_unread=pipe.has_unread, end=end_group)
    engine = Engine(outbox, device=config.device, watchdog=watchdog)
    threading.Thread(target=_read, args=(engine, messages), name="reader", daemon=True).start()
    watchdog.start()

    os.environ.update(visible_devices(config.device, os.environ))
    copies = copy_packs(
        [folder for p in config.custom_nodes if (folder := Path(p)).is_dir()],
        to=Path(config.pack_copies) if config.pack_copies else None,
        in_place=config.writable_packs,
    )
    context = WorkerContext(
        model_roots=[Path(p) for p in config.model_roots],
        extra_models=[ExtraPlace(folder, Path(path), is_default) for folder, path, is_default in config.extra_models],
        custom_nodes=copies.folders,
    )
    if config.model_copies:
        context.local_copies = LocalCopies(Path(config.model_copies), max_bytes=config.model_copies_bytes)
    set_worker_context(context)
    if config.pack_libraries:
        packs.search_libraries(Path(config.pack_libraries))
    journal = LoadJournal(journal_of(server, slot=config.slot))
    library = packs.load(config.node_packages, context, journal=journal)
    worker = WorkerState(
        library=library,
        cache=LimitedCache(max_bytes=config.cache_bytes or devices.machine_memory()[0] // 4),
        objects=V1Objects(),
        background=BackgroundLoop(),
        context=context,
        end_process=os._exit,
    )
    pack_routes = None
    if collected := take_routes():
        pack_routes = PackRoutes(
            collected,
            on_answer=lambda answer: outbox.post(answer, flush=True),
            on_end_request=engine.end_when_idle,
        )
        defer_ends(pack_routes.end)
        run_routes_in(pack_routes.serve())
    finish_lines = printing.redirect(engine.printed)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    gc.collect()
    gc.freeze()  # imported modules stay alive: no collection needs to scan them
    ready = Ready(
        info=devices.describe(config.device),
        nodes=list(library.catalogue.values()),
        failed_packs=library.failed,
        web_directories={pack: copies.original(path) for pack, path in library.web_directories.items()},
        routes=pack_routes.routes if pack_routes is not None else [],
        unkept_rules=list(unkept_rules),
    )
    outbox.post(ready, flush=True)
    engine.serve(worker, finish_lines=finish_lines, pack_routes=pack_routes)


def make_folder(folder: Path, rules: Rules | None) -> None:
    """Make ``folder`` for the account that this process is about to become, while it still has permission."""
    folder.mkdir(parents=True, exist_ok=True)
    if rules is not None and rules.account is not None:
        os.chown(folder, rules.account.uid, rules.account.gid)


def end_group(reason: str) -> None:
    """Kill this process and every process that it started, immediately."""
    os.write(2, f"the worker process is stopping: {reason}\n".encode())
    os.killpg(0, signal.SIGKILL)


def _read(engine: Engine, messages: Iterator[Any]) -> None:
    try:
        engine.read(cast(Iterator[ToEngine], messages))
    except (OSError, SafelightError) as error:
        end_group(f"the pipe cannot be read: {error}")
    end_group("the server closed the pipe")


if __name__ == "__main__":
    main()

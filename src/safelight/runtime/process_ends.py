"""Ends of this process that a pack requests outside jobs: ``os.execv`` in a route that restarts ComfyUI, for example.

In ComfyUI the process is the server, and such a route restarts it at once. Here it would take the running job along. So
the functions that end a process are replaced: called outside the main thread, which runs the nodes, they end only the
code that calls them, and the process ends when it has no job. Processes that were forked from it are not affected.
"""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, NoReturn

EXECS = ("execl", "execle", "execlp", "execlpe", "execv", "execve", "execvp", "execvpe")


class EndRequested(SystemExit):
    """A pack called a function that ends the process."""


def defer_ends(on_request: Callable[[str], None]) -> Callable[[], None]:
    """Replace the functions; return what restores them. ``on_request`` gets the name of the function that was called,
    in the thread of the caller."""
    process, nodes = os.getpid(), threading.current_thread()

    def is_elsewhere() -> bool:
        return os.getpid() != process or threading.current_thread() is nodes

    def request(name: str) -> NoReturn:
        on_request(name)
        raise EndRequested(f"a node pack called {name}")

    def deferred(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: original(*args, **kwargs) if is_elsewhere() else request(f"os.{name}")

    def kill(pid: int, number: int) -> None:
        if pid in (process, 0) and number != 0 and not is_elsewhere():
            request("os.kill")
        originals["kill"](pid, number)

    def raise_signal(number: int) -> None:
        if is_elsewhere():
            raised(number)
        else:
            request("signal.raise_signal")

    originals: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in (*EXECS, "_exit", "abort", "kill")}
    raised = signal.raise_signal
    for name, original in originals.items():
        setattr(os, name, kill if name == "kill" else deferred(name, original))
    signal.raise_signal = raise_signal

    def restore() -> None:
        for name, original in originals.items():
            setattr(os, name, original)
        signal.raise_signal = raised

    return restore

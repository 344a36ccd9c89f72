"""Puts :class:`~safelight.sandbox.rules.Rules` into force on this process, and says what the system could not give.

The order matters. Namespaces of processes and mounts come before this, from the keeper (``keeper.py``). Root enters a
network of its own before the change of user takes the right to that away; others enter theirs after it, because a user
namespace knows no other user. Landlock comes last: after it nothing more can be opened that the rules do not name. What
is given up cannot be had again, by this process or its children.
"""

import glob
import os
import resource
from collections.abc import Callable, Iterator

from safelight.sandbox import calls, landlock, network, reading, system
from safelight.sandbox.rules import Account, Rules

_FILE_CAPABILITIES = 0b11111
"""chown, dac_override, dac_read_search, fowner, fsetid: what root needs to use its files as root does."""

_DEVICES = (
    *("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"),
    *("nvidia*", "nvidia-caps", "dri", "kfd", "dxg", "infiniband"),
)
"""Of ``/dev``: what carries no data of this machine, and accelerators."""


def confine(rules: Rules) -> tuple[str, ...]:
    """From now on the rules hold, as far as the system goes; the answer has a sentence for each that it can't keep.

    To be called before there is a second thread: threads that run already would stay as they are. A change of user
    clears the signal for a parent's death. Raises :class:`OSError` where ``account`` cannot be taken: to go on with
    other rights than were meant is not for this function to decide.
    """
    _limit(rules)
    is_alone = not rules.network and os.geteuid() == 0 and _refusal_of(network.leave) is None
    if rules.account is not None:
        _become(rules.account)
    refusal = None if rules.network or is_alone else _refusal_of(network.leave_as_user)
    system.allow_no_new_privileges()
    system.keep_capabilities(_FILE_CAPABILITIES if os.geteuid() == 0 else 0)
    has_filter = calls.forbid_reaching_others()
    _lock(rules, connects=refusal is None)
    return tuple(_missing(rules, refusal, has_filter=has_filter))


def _limit(rules: Rules) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold what the job's owner sent
    for kind, size in ((resource.RLIMIT_AS, rules.address_space_bytes), (resource.RLIMIT_FSIZE, rules.file_bytes)):
        if size:
            _, hard = resource.getrlimit(kind)
            size = size if hard == resource.RLIM_INFINITY else min(size, hard)
            resource.setrlimit(kind, (size, size))


def _refusal_of(leave: Callable[[], None]) -> str | None:
    """``None``, or the system's reason why not."""
    try:
        leave()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _become(account: Account) -> None:
    if (os.geteuid(), os.getegid()) == (account.uid, account.gid):
        return
    os.setgroups(account.groups)
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    system.stay_dumpable()


def _lock(rules: Rules, *, connects: bool) -> None:
    if landlock.version():
        folders = None if rules.writable is None else (*rules.writable, "/proc/self")
        readable = None if rules.readable is None else {*reading.system_paths(), *reading.followed(rules.readable)}
        landlock.restrict(folders=folders, devices=_devices(), connects=connects, readable=readable)


def _devices() -> list[str]:
    return [path for name in _DEVICES for path in glob.glob(f"/dev/{name}")]


def _missing(rules: Rules, refusal: str | None, *, has_filter: bool) -> Iterator[str]:
    known = landlock.version()
    if refusal is not None and known >= 4:
        yield f"network: the system gives no namespace ({refusal}); TCP alone is cut off, on loopback as well"
    elif refusal is not None:
        yield f"network: the system gives no namespace ({refusal}) and no Landlock for TCP; all of it can be reached"
    if rules.writable is not None and not known:
        yield "files: the system has no Landlock; whatever the account may write can be written, models as well"
    if rules.readable is not None and not known:
        yield "reading: the system has no Landlock; whatever the account may read can be read, the database as well"
    if not has_filter:
        yield "limits: the system has no seccomp filter; limits of processes of the same account can be changed"
    if known < 6:
        yield "signals: Landlock is older than Linux 6.12; processes of the same account can be ended"

"""Puts :class:`~safelight.sandbox.rules.Rules` into force on this process, and reports those that the system cannot
enforce.

The order matters. The keeper (``keeper.py``) has already created the PID and mount namespaces. Root enters a network
namespace before it changes the user, which takes that right away; other accounts enter theirs after it, because a user
namespace maps no other user. Landlock comes last: after it, nothing can be opened that the rules do not name. None of
this can be undone, by this process or its children.
"""

import glob
import os
import sys
from collections.abc import Callable, Iterator

from safelight.sandbox import landlock, network, readable_paths, seccomp, system
from safelight.sandbox.rules import Account, Rules

UNCONFINED = (
    f"confinement: there is none on {sys.platform}; workers may read, write and reach everything that their account may"
)
_FILE_CAPABILITIES = 0b11111
"""chown, dac_override, dac_read_search, fowner, fsetid: the capabilities that root needs for its files."""

_DEVICES = (
    *("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm"),
    *("nvidia*", "nvidia-caps", "dri", "kfd", "dxg", "infiniband"),
)
"""Files in ``/dev`` that give no access to data of this machine, and accelerators."""


def confine(rules: Rules) -> tuple[str, ...]:
    """Enforce the rules as far as the system allows. Returns one sentence for each rule that it cannot enforce.

    Call it while the process has one thread: other threads would not be restricted. A change of user clears the signal
    for the parent's death. Raises :class:`OSError` if the process cannot change to ``account``: it must not continue
    with other rights than intended.
    """
    _limit(rules)
    if not system.IS_LINUX:
        if rules.account is not None:
            _become(rules.account)
        return (UNCONFINED,)
    is_isolated = not rules.network and os.geteuid() == 0 and _refusal_of(network.isolate) is None
    if rules.account is not None:
        _become(rules.account)
    refusal = None if rules.network or is_isolated else _refusal_of(network.isolate_as_user)
    system.allow_no_new_privileges()
    system.keep_capabilities(_FILE_CAPABILITIES if os.geteuid() == 0 else 0)
    has_filter = seccomp.forbid_reaching_others()
    _lock(rules, connects=refusal is None)
    return tuple(_missing(rules, refusal, has_filter=has_filter))


def _limit(rules: Rules) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would contain the job owner's data
    for kind, size in ((resource.RLIMIT_AS, rules.address_space_bytes), (resource.RLIMIT_FSIZE, rules.file_bytes)):
        if size:
            _, hard = resource.getrlimit(kind)
            size = size if hard == resource.RLIM_INFINITY else min(size, hard)
            resource.setrlimit(kind, (size, size))


def _refusal_of(call: Callable[[], None]) -> str | None:
    """Call it; return the system's reason if it refuses, ``None`` if not."""
    try:
        call()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _become(account: Account) -> None:
    if (os.geteuid(), os.getegid()) == (account.uid, account.gid):
        return
    os.setgroups(account.groups)
    if not system.IS_LINUX:
        os.setgid(account.gid)
        os.setuid(account.uid)
        return
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    system.stay_dumpable()


def _lock(rules: Rules, *, connects: bool) -> None:
    if landlock.version():
        folders = None if rules.writable is None else (*rules.writable, "/proc/self")
        readable: set[str] | None = None
        if rules.readable is not None:
            readable = {*readable_paths.system_paths(), *readable_paths.followed(rules.readable)}
        landlock.restrict(folders=folders, devices=_devices(), connects=connects, readable=readable)


def _devices() -> list[str]:
    return [path for name in _DEVICES for path in glob.glob(f"/dev/{name}")]


def _missing(rules: Rules, refusal: str | None, *, has_filter: bool) -> Iterator[str]:
    known = landlock.version()
    if refusal is not None and known >= 4:
        yield f"network: the system refuses a namespace ({refusal}); only TCP is blocked, including loopback"
    elif refusal is not None:
        yield f"network: the system refuses a namespace ({refusal}) and has no Landlock for TCP; nothing is blocked"
    if rules.writable is not None and not known:
        yield "files: the system has no Landlock; workers can write everything that the account may, including models"
    if rules.readable is not None and not known:
        yield (
            "reading: the system has no Landlock; workers can read everything that the account may, including the "
            "database"
        )
    if not has_filter:
        yield "limits: the system has no seccomp filter; workers can change limits of other processes of the account"
    if known < 6:
        yield "signals: Landlock needs Linux 6.12 for this; workers can end other processes of the account"

"""The restrictions of a process, as plain values that are sent to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system, with all its groups."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a process may do. Sizes are bytes, 0 for no limit; paths are absolute."""

    account: Account | None = None
    """The account that the process changes to; ``None``: no change. Only root can change."""
    network: bool = True
    """False: no connections, neither to other machines nor to servers on this one."""
    writable: tuple[str, ...] | None = None
    """Folders in which files may be created, changed and removed; ``None``: wherever the account may."""
    readable: tuple[str, ...] | None = None
    """Files and folders that may be read in addition to the writable ones, the interpreter and the system's libraries,
    including the targets of symbolic links in them; ``None``: everything that the account may read."""
    own_processes: bool = False
    """True: the process has its own PID namespace: it sees no other processes, and its descendants end with it."""
    address_space_bytes: int = 0
    file_bytes: int = 0
    """The size of the largest file that may be written."""

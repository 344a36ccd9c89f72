"""What a process may do, as plain values that travel to it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system, with all groups."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Sizes are bytes, 0 for no limit; paths are absolute."""

    account: Account | None = None
    """Whose rights the process has from then on; ``None``: as it was started. Only root can become another."""
    network: bool = True
    """False: no way out of this machine, nor to a server on it."""
    writable: tuple[str, ...] | None = None
    """Folders in which files may be made, changed and removed; ``None``: wherever the account may."""
    readable: tuple[str, ...] | None = None
    """Files and folders that may be read beside the writable ones, the interpreter and the system's libraries, with
    what symbolic links in them lead to; ``None``: whatever the account may read."""
    own_processes: bool = False
    """True: a process of its own process table, which sees no other, and whose descendants end with it."""
    address_space_bytes: int = 0
    file_bytes: int = 0
    """The largest file that may be written."""

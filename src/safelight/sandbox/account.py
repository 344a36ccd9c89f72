"""Accounts of the operating system, by the names that operators give them."""

import os
import pwd

from safelight.sandbox.rules import Account


def find_account(name: str) -> Account:
    """By its name or number. Raises :class:`LookupError` where the system has none."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        raise LookupError(f"the system has no account {name!r}") from None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(entry.pw_uid, entry.pw_gid, tuple(groups))

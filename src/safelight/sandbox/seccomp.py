"""A seccomp filter for system calls that bypass Landlock and namespaces and reach other processes of the same account.

``prlimit`` changes the limits of any process of the account, including the server, and the kernel's keyrings are shared
by a whole session. Needs only ``no_new_privs``. Numbers are those of ``linux/seccomp.h``, ``linux/filter.h`` and the
system call tables.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterator

from safelight.sandbox.system import control

_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data

_X32 = 0x40000000
_MACHINES = {
    # machine: audit architecture, prlimit64, (add_key, request_key, keyctl)
    "x86_64": (0xC000003E, 302, (248, 249, 250)),
    "aarch64": (0xC00000B7, 261, (217, 218, 219)),
}


def forbid_reaching_others() -> bool:
    """Install the filter for this thread and everything it starts. Returns ``False`` if the system has no such filters,
    or for an unknown processor architecture.

    Call :func:`~safelight.sandbox.system.allow_no_new_privileges` first.
    """
    known = _MACHINES.get(platform.machine())
    if known is None:
        return False
    steps = list(_program(*known))
    code = b"".join(struct.pack("<HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(buffer)))
    try:
        control(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))
    except OSError:
        return False
    return True


def _program(architecture: int, prlimit: int, keys: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """Steps ``(code, steps to skip if true, if false, value)``. The last three: refuse, refuse another ABI, allow."""
    low, high = 0, 4
    body: list[tuple[int, str, str, int]] = [
        (_LOAD, "", "", _ARCHITECTURE),
        (_JUMP_EQUAL, "", "foreign", architecture),
        (_LOAD, "", "", _NUMBER),
        (_JUMP_AT_LEAST, "foreign", "", _X32),
        *((_JUMP_EQUAL, "refuse", "", number) for number in keys),
        (_JUMP_EQUAL, "", "allow", prlimit),
        (_LOAD, "", "", _ARGUMENT + low),  # process whose limits change: 0 is the caller
        (_JUMP_EQUAL, "allow", "", 0),
        (_LOAD, "", "", _ARGUMENT + 2 * 8 + low),  # address of the new limits; null: only read
        (_JUMP_EQUAL, "", "refuse", 0),
        (_LOAD, "", "", _ARGUMENT + 2 * 8 + high),
        (_JUMP_EQUAL, "allow", "refuse", 0),
    ]
    ends = {"refuse": len(body), "foreign": len(body) + 1, "allow": len(body) + 2}
    for position, (code, if_true, if_false, value) in enumerate(body, 1):
        yield code, ends[if_true] - position if if_true else 0, ends[if_false] - position if if_false else 0, value
    yield _RETURN, 0, 0, _FAIL | errno.EPERM
    yield _RETURN, 0, 0, _FAIL | errno.ENOSYS
    yield _RETURN, 0, 0, _ALLOW

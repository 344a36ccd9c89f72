"""Rules in force on real processes. Rules that this machine cannot enforce must be reported; such a test is skipped."""

import json
import os
import resource
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from safelight.sandbox import landlock
from safelight.sandbox.rules import Account, Rules

SOURCE = Path(__file__).parents[2] / "src"
NOBODY = 65534

PROLOGUE = """
import encodings.idna, json, os, resource, signal, socket, subprocess, sys, threading
from pathlib import Path
from safelight.sandbox import system
from safelight.sandbox.confine import confine
from safelight.sandbox.rules import Account, Rules
words, user = json.loads(sys.argv.pop(1))
if user is not None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    system.stay_dumpable()
words["account"] = Account(**words["account"]) if words["account"] else None
missing = confine(Rules(**words))
def refused(deed):
    try:
        deed()
    except OSError as error:
        return type(error).__name__
"""


def ask(rules: Rules, code: str, *arguments: object, user: int | None = None, first: str = "") -> tuple[list[str], Any]:
    """Run ``code`` in a process under the rules. Returns the rules that the system cannot enforce, and what the code
    leaves in ``answer``. ``user``: the account that the process starts as; ``first`` runs before the rules."""
    program = f"{first}\n{PROLOGUE}\n{code}\nprint(json.dumps([missing, answer]))"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program, json.dumps([asdict(rules), user]), *map(str, arguments)],
        env={"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
    )
    assert ran.returncode == 0, ran.stderr
    missing, answer = json.loads(ran.stdout)
    return missing, answer


def need_another_user() -> None:
    """Root can change to another account, unless a container forbids it."""
    code = f"import os; os.setgroups([]); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})"
    if os.geteuid() != 0 or subprocess.run([sys.executable, "-S", "-c", code], capture_output=True).returncode:
        pytest.skip("only root can start a process of another user, and not in every container")


def without(missing: list[str], subject: str) -> None:
    """Skip the rest if the system cannot enforce this."""
    said = [sentence for sentence in missing if sentence.startswith(subject)]
    if said:
        pytest.skip(said[0])


def test_no_child_has_more_rights_than_the_process() -> None:
    _, status = ask(Rules(), "answer = dict(l.split(':', 1) for l in open('/proc/self/status') if ':' in l)")
    assert status["NoNewPrivs"].strip() == "1"
    capabilities = int(status["CapEff"], 16)
    assert capabilities & ~0b11111 == 0
    assert int(status["CapPrm"], 16) == capabilities


def test_no_core_file_and_no_larger_one_than_allowed(tmp_path: Path) -> None:
    code = """
Path(sys.argv[1]).write_bytes(bytes(1000))
answer = [resource.getrlimit(resource.RLIMIT_CORE), refused(lambda: Path(sys.argv[1]).write_bytes(bytes(1001)))]
"""
    _, answer = ask(Rules(file_bytes=1000), code, tmp_path / "file")
    assert answer == [[0, 0], "OSError"]


def test_memory_is_bounded() -> None:
    code = "try: bytearray(2**30); answer = 'given'\nexcept MemoryError: answer = 'refused'"
    assert ask(Rules(), code)[1] == "given"
    assert ask(Rules(address_space_bytes=2**29), code)[1] == "refused"


@pytest.mark.parametrize("user", [None, NOBODY])
def test_files_change_only_in_the_given_folders(public_path: Path, user: int | None) -> None:
    if user is not None:
        need_another_user()
    ours, theirs = public_path / "ours", public_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        folder.chmod(0o777)  # so that only the rules can refuse
    (theirs / "model").write_text("weights")
    (theirs / "model").chmod(0o666)
    code = """
ours, theirs = map(Path, sys.argv[1:])
(ours / "sub").mkdir()
(ours / "sub/a").write_text("a")
os.rename(ours / "sub/a", ours / "b")
open("/dev/null", "w").write("x")
answer = [
    refused(lambda: (theirs / "new").write_text("x")),
    refused(lambda: (theirs / "model").write_text("x")),
    refused(lambda: os.truncate(theirs / "model", 0)),
    refused(lambda: (theirs / "model").unlink()),
    refused(lambda: os.rename(theirs / "model", ours / "model")),
    refused(lambda: os.link(theirs / "model", ours / "model")),
    refused(lambda: os.symlink("x", theirs / "link")),
    (theirs / "model").read_text(),
    refused(lambda: threading.Thread(target=lambda: None).start()),
]
child = os.fork()
if not child:
    os._exit(0 if refused(lambda: (theirs / "new").write_text("x")) else 1)
answer.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    missing, answer = ask(Rules(writable=(str(ours), "/nonexistent")), code, ours, theirs, user=user)
    without(missing, "files")
    assert all(answer[:7]), answer
    assert set(answer[:7]) <= {"PermissionError", "OSError"}  # a rename out of the rules is EXDEV
    assert answer[7:] == ["weights", None, 0]


@pytest.mark.parametrize("user", [None, NOBODY])
def test_nothing_outside_can_be_reached(user: int | None) -> None:
    if user is not None:
        need_another_user()
    code = """
def talk():
    with socket.create_server(("127.0.0.1", 0)) as inner, socket.create_connection(inner.getsockname()[:2], 10):
        inner.accept()[0].close()
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"x", ("192.0.2.1", 9))
def connect():
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10).close()
answer = [refused(connect), refused(send), refused(talk)]
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ask(Rules(), code, port, user=user)[1][0] is None
        missing, (connected, sent, talked) = ask(Rules(network=False), code, port, user=user)
        if any("nothing is blocked" in sentence for sentence in missing):
            pytest.skip(missing[0])
        assert connected is not None
        without(missing, "network")
        assert sent is not None
        assert talked is None, "its own loopback works"


def test_the_network_stays_if_the_rules_allow_it() -> None:
    missing, interfaces = ask(Rules(network=True), "answer = [name for _, name in socket.if_nameindex()]")
    assert interfaces == [name for _, name in socket.if_nameindex()]
    assert not [sentence for sentence in missing if sentence.startswith("network")]


def test_without_namespaces_tcp_is_blocked_and_the_rest_is_reported() -> None:
    """As in a container: the process first enters a user namespace that cannot have others."""
    forbid = """
import os
from pathlib import Path
from safelight.sandbox import system
uid = os.getuid()
try:
    system.unshare(system.CLONE_NEWUSER)
except OSError:
    pass  # this system forbids them anyway
else:
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    for kind in ("user", "net"):
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
"""
    code = """
def connect():
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10).close()
answer = refused(connect)
"""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        [said, *_], answer = ask(Rules(network=False), code, listener.getsockname()[1], first=forbid)
    if landlock.version() >= 4:
        assert said.startswith("network: the system refuses a namespace")
        assert "only TCP is blocked" in said
        assert answer == "PermissionError"
    else:
        assert said.endswith("nothing is blocked")
        assert answer is None


def test_other_processes_cannot_be_killed() -> None:
    """Not even by root, and not the parent; the process can kill its own children."""
    code = """
child = subprocess.Popen(["sleep", "600"])
child.kill()
answer = [refused(lambda: os.kill(os.getppid(), 0)), child.wait()]
"""
    missing, answer = ask(Rules(network=False), code)
    without(missing, "signals")
    assert answer == ["PermissionError", -9]


def test_root_becomes_the_account() -> None:
    need_another_user()
    code = """
status = dict(l.split(':', 1) for l in open('/proc/self/status') if ':' in l)
answer = [os.getresuid(), os.getresgid(), os.getgroups(), status["CapPrm"].strip(), len(os.listdir("/proc/self/fd")),
          refused(lambda: os.setuid(0)), refused(lambda: open("/etc/shadow").read())]
"""
    for has_network in (True, False):
        account = Account(NOBODY, NOBODY, (NOBODY, 44))
        _, answer = ask(Rules(account=account, network=has_network, writable=()), code)
        assert answer[:4] == [[NOBODY] * 3, [NOBODY] * 3, [44, NOBODY], "0" * 16]
        assert answer[4] > 0, "it can look at itself"
        assert answer[5:] == ["PermissionError", "PermissionError"]


def test_failing_to_change_the_account_is_an_error() -> None:
    if os.geteuid() == 0:
        pytest.skip("root can take any")
    with pytest.raises(AssertionError, match="PermissionError"):
        ask(Rules(account=Account(0, 0)), "answer = None")


@pytest.mark.parametrize("user", [None, NOBODY])
def test_files_are_read_only_in_the_given_folders(public_path: Path, user: int | None) -> None:
    if user is not None:
        need_another_user()
    ours, theirs, linked = public_path / "ours", public_path / "theirs", public_path / "linked"
    for folder in (ours, theirs, linked):
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "file").write_text(folder.name)
        (folder / "file").chmod(0o666)
    (ours / "model").symlink_to(linked / "file")
    code = """
ours, theirs = map(Path, sys.argv[1:])
answer = [
    (ours / "file").read_text(), (ours / "model").read_text(), os.listdir(ours) != [],
    refused(lambda: (theirs / "file").read_text()), refused(lambda: os.listdir(theirs)),
    refused(lambda: open("/etc/shadow").read()), refused(lambda: open("/etc/sudoers").read()),
    refused(lambda: (ours / "new").write_text("x")),
    subprocess.run(["cat", "/etc/passwd"], capture_output=True, text=True).stdout,
]
"""
    rules = Rules(writable=(), readable=(str(ours), "/nonexistent"))
    missing, answer = ask(rules, code, ours, theirs, user=user)
    without(missing, "reading")
    assert answer[:3] == ["ours", "linked", True]
    assert all(answer[3:8]), answer
    assert answer[8] != ""


def test_limits_of_other_processes_cannot_be_changed() -> None:
    """A process can lower its own limits and read all; it cannot change those of others of its account."""
    code = """
own = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.prlimit(0, resource.RLIMIT_NOFILE, (64, own[1]))
answer = [
    resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    refused(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)),
    refused(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (9, 9))),
]
"""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    missing, answer = ask(Rules(), code)
    without(missing, "limits")
    assert answer == [64, None, "PermissionError"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before

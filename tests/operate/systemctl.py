"""A small ``systemctl`` for a Debian root without systemd: it starts the units of ``/etc/systemd/system`` as they say
(account, environment, folders, command), and passes other services to ``/etc/init.d``. A timer starts its service once
when it is enabled, so that what it will do is seen.
"""

import os
import pwd
import shlex
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

UNITS, RUNNING = Path("/etc/systemd/system"), Path("/run/units")


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    verb, names = words[0], words[1:]
    RUNNING.mkdir(exist_ok=True)
    if verb == "daemon-reload":
        return 0
    for name in names:
        if name.endswith(".timer"):
            name = name.removesuffix(".timer")
            if not (UNITS / f"{name}.service").exists():
                return 1
            continue  # its service is started by the page
        unit = UNITS / f"{name.removesuffix('.service')}.service"
        if unit.exists():
            code = {"enable": start, "start": start, "restart": restart, "stop": stop, "is-active": is_active}[verb](
                unit
            )
        else:
            code = subprocess.run(["service", name, {"enable": "start"}.get(verb, verb)]).returncode
        if code:
            return code
    return 0


def read(unit: Path) -> Mapping[str, list[str]]:
    values: dict[str, list[str]] = defaultdict(list)
    for line in unit.read_text().splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            values[key].append(value)
    return values


def environment(unit: Mapping[str, list[str]]) -> dict[str, str]:
    made = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
    pairs = list(unit["Environment"])
    for file in unit["EnvironmentFile"]:
        pairs += Path(file).read_text().splitlines()
    for pair in pairs:
        name, _, value = pair.partition("=")
        made[name] = value
    return made


def start(path: Path) -> int:
    unit = read(path)
    account = pwd.getpwnam(unit["User"][0])
    for folder in unit["StateDirectory"]:
        state = Path("/var/lib", folder)
        state.mkdir(exist_ok=True)
        os.chown(state, account.pw_uid, account.pw_gid)
        state.chmod(int(unit["StateDirectoryMode"][0], 8))
    variables = environment(unit)
    command = [word for part in shlex.split(unit["ExecStart"][0]) for word in expand(part, variables)]
    log = os.open(f"/var/log/{path.stem}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    process = subprocess.Popen(
        ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups", *command],
        env=variables | {"HOME": account.pw_dir}, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True, umask=int(unit["UMask"][0], 8),
    )  # fmt: skip
    if unit["Type"] == ["oneshot"]:
        code = process.wait()
        if code:
            sys.stderr.write(Path(f"/var/log/{path.stem}.log").read_text()[-3000:])
        return code
    (RUNNING / path.stem).write_text(str(process.pid))
    return 0


def expand(part: str, variables: Mapping[str, str]) -> Sequence[str]:
    return shlex.split(variables[part[1:]]) if part.startswith("$") else [part]


def stop(path: Path) -> int:
    file = RUNNING / path.stem
    if file.exists():
        pid = int(file.read_text())
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + 60
        while is_alive(pid):
            if time.monotonic() > until:
                sys.stderr.write(f"{path.stem} did not stop within 60 s\n")
                return 1
            time.sleep(0.1)
        file.unlink()
    return 0


def restart(path: Path) -> int:
    return stop(path) or start(path)


def is_active(path: Path) -> int:
    file = RUNNING / path.stem
    return 0 if file.exists() and is_alive(int(file.read_text())) else 3


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


VERBS = {"enable": start, "start": start, "restart": restart, "stop": stop, "is-active": is_active}

sys.exit(main())

"""The system files that a Python process with a GPU must be able to read.

An allow-list: anything not listed here is not readable. ``/etc`` is listed file by file, because keys and password
hashes are beside the files that every program opens.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store", "/snap"),
    *("/proc", "/sys", "/run/opengl-driver", "/run/current-system", "/run/nvidia-persistenced", "/run/systemd/resolve"),
    *("/var/cache/fontconfig", "/var/lib/ca-certificates"),
)
_ETC = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "alternatives", "nsswitch.conf", "passwd", "group"),
    *("hosts", "hostname", "host.conf", "resolv.conf", "gai.conf", "services", "protocols", "localtime", "timezone"),
    *("ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/openssl.cnf", "pki/ca-trust/extracted"),
    *("ca-certificates", "crypto-policies", "fonts", "mime.types", "magic", "locale.alias", "locale.conf"),
    *(
        "os-release",
        "lsb-release",
        "machine-id",
        "OpenCL",
        "vulkan",
        "glvnd",
        "nvidia",
        "ImageMagick-6",
        "ImageMagick-7",
    ),
)

MAX_LINKS = 20_000
"""How many entries of a folder tree are searched for symbolic links."""


def system_paths() -> Iterator[str]:
    """The system's libraries and the settings without secrets, and this interpreter with its packages."""
    yield from SYSTEM
    yield from (f"/etc/{name}" for name in _ETC)
    yield from (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    yield str(Path(os.path.realpath(sys.executable)).parent)
    yield str(Path(__file__).parents[1])
    yield from (path for path in sys.path if os.path.isabs(path))


def followed(paths: Iterable[str]) -> Iterator[str]:
    """``paths``, and the targets of symbolic links in them: models are often on another disk than their folder."""
    for path in paths:
        yield path
        seen = 0
        for where, folders, names in os.walk(path):
            for name in (*folders, *names):
                entry = os.path.join(where, name)
                if os.path.islink(entry):
                    yield os.path.realpath(entry)
            seen += len(folders) + len(names)
            if seen > MAX_LINKS:
                break

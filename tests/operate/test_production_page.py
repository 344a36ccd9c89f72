"""Every command of docs/operate/production.md runs, in its order, in a Debian that has nothing else."""

import re
from pathlib import Path

import pytest
from tests.operate import debian_root
from tests.seaweedfs import ACCESS_KEY, SECRET_KEY, SeaweedFS

ROOT = debian_root.ROOT
PAGE = ROOT / "docs/operate/production.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
INDEXES = ("/opt/wheels", "/opt/pypi", "/opt/pypi-more")
"""Folders of a package index on this machine, if pip is configured to use any."""
CHECKS = """
echo == the server is what the page promises
key=$(cat /root/safelight-key)
curl -sf -H "X-API-Key: $key" http://127.0.0.1:8188/health/ready | grep '"workers":2'
curl -sf http://127.0.0.1:9464/metrics | grep 'safelight_slots{state="idle"} 2'
test "$(ls /var/backups/safelight | wc -l)" -ge 1
test -z "$(ls /var/backups/safelight-drill)"
curl -s -o /dev/null -w '%{http_code}' --cacert /etc/safelight/tls/fullchain.pem \\
  --resolve pictures.example.org:443:127.0.0.1 https://pictures.example.org/metrics | grep 404
curl -s -o /dev/null -w '%{http_code}' --cacert /etc/safelight/tls/fullchain.pem \\
  --resolve pictures.example.org:443:127.0.0.1 https://pictures.example.org/api/jobs | grep 401
su postgres -c "psql -At safelight -c \\"SELECT state, count(*) FROM job GROUP BY 1\\"" | grep 'completed|1'
test "$(stat -c %U "/proc/$(cat /run/units/safelight)")" = safelight
for attempt in $(seq 60); do (: < /dev/tcp/127.0.0.1/6379) 2> /dev/null && break; sleep 1; done
(: < /dev/tcp/127.0.0.1/6379)
systemctl is-active safelight-worker
tail -n 1 /var/log/safelight.log | python3 -c 'import json, sys; json.loads(sys.stdin.readline())'
echo == all is well
"""


def blocks() -> list[str]:
    return BLOCK.findall(PAGE.read_text("utf-8"))


def test_the_page_copies_files_that_exist() -> None:
    page = PAGE.read_text("utf-8")
    named = set(re.findall(r"/opt/safelight/((?:deploy|docs|scripts)/[\w./-]*\w)", page))
    assert len(named) >= 3
    assert {path for path in named if not (ROOT / path).exists()} == set()
    assert len(blocks()) >= 10


def test_units_name_programs_settings_and_documents_that_exist() -> None:
    for unit in sorted((ROOT / "deploy/systemd").glob("*.service")):
        for path in re.findall(r"/opt/safelight/([\w./-]+)", unit.read_text()):
            assert path.startswith(".venv/bin/safelight") or (ROOT / path).exists(), (unit.name, path)
    for timer in (ROOT / "deploy/systemd").glob("*.timer"):
        assert timer.with_suffix(".service").exists()


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_every_command_of_the_page_runs_in_an_empty_debian(tmp_path: Path, s3: SeaweedFS) -> None:
    if reason := debian_root.why_not():
        pytest.skip(reason)
    root = tmp_path / "root"
    debian_root.make(root)
    debian_root.systemctl(root)
    debian_root.release(root / "root/safelight.tar.gz")
    debian_root.connect(root)
    shared = [Path(folder) for folder in INDEXES if Path(folder).is_dir()]
    with debian_root.running(root, script(s3), shared=shared, limit_s=2300) as printed:
        assert "== all is well" in printed


def script(s3: SeaweedFS) -> str:
    """The page's commands, with a line before each block, and the store of the tests."""
    parts = ["set -euo pipefail", "export PIP_CACHE_DIR=/var/cache/pip"]
    for number, block in enumerate(blocks(), start=1):
        text = block.replace("http://127.0.0.1:8333", s3.endpoint)
        text = text.replace("BLOB_ACCESS_KEY=safelight", f"BLOB_ACCESS_KEY={ACCESS_KEY}")
        text = text.replace("BLOB_SECRET_KEY=change-me", f"BLOB_SECRET_KEY={SECRET_KEY}")
        parts.append(f"echo == block {number}\n{text}")
    return "\n".join([*parts, CHECKS])

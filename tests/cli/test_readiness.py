"""When a starting server accepts jobs: immediately if it has the catalogue of the same packs from an earlier run."""

import time
from pathlib import Path

from tests.faults.site import Site, wait_for

PACK = """
import time
time.sleep(4)

class {name}:
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"text": ("STRING",)}}}}
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = "test"
    def run(self, text):
        return {{"ui": {{"text": [text]}}}}

NODE_CLASS_MAPPINGS = {{"{name}": {name}}}
"""
"""A pack that takes long to import."""


def test_a_restarted_server_accepts_jobs_before_its_workers_are_up(tmp_path: Path) -> None:
    pack = tmp_path / "packs/slow/__init__.py"
    pack.parent.mkdir(parents=True)
    pack.write_text(PACK.format(name="First"))
    environment = {"SAFELIGHT_CUSTOM_NODES": str(tmp_path / "packs"), "SAFELIGHT_WORKER_WRITABLE": ""}
    with Site(tmp_path / "data", workers=1, environment=environment) as site:
        site.start()
        ready = site.request("GET", "/health/ready")
        assert (ready.status, ready.body) == (503, b"not ready: no worker has declared its nodes yet")
        assert site.request("GET", "/health/live").status == site.request("GET", "/api/health/live").status == 200
        assert site.request("GET", "/health").status == 200
        wait_for(lambda: site.request("GET", "/health/ready").status == 200)
        wait_for(lambda: (tmp_path / "data/cache/nodes-safelight.msgpack").exists())
        site.kill()

        site.start()
        begun = time.monotonic()
        job_id = site.submit({"1": {"class_type": "First", "inputs": {"text": "early"}}})
        ready = site.request("GET", "/health/ready")
        assert ready.json == {"ready": True, "workers": 0, "slots": 1}
        assert time.monotonic() - begun < 3, "no import was waited for"
        assert site.end(job_id)["outputs"] == {"1": {"text": ["early"]}}
        site.kill()

        pack.write_text(PACK.format(name="Second"))
        site.start()
        assert site.request("GET", "/health/ready").status == 503, "the known nodes are of other packs"
        wait_for(lambda: site.request("GET", "/health/ready").status == 200)
        assert (
            site.request("POST", "/api/prompt", {"prompt": {"1": {"class_type": "First", "inputs": {}}}}).status == 400
        )
        job_id = site.submit({"1": {"class_type": "Second", "inputs": {"text": "late"}}})
        assert site.end(job_id)["status"] == "completed"

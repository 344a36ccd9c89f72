"""What a program does with the vendor's Python SDK. Prints the name of each passed check."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from comfy_sdk import Comfy, Unauthorized
from comfy_sdk.events import OutputReady, Progress, StatusChange
from comfy_sdk.exceptions import ComfyError, IdempotencyKeyReuse, InvalidWorkflow, JobFailed, NotFound

PICTURE: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "sdk"}},
}
PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(2000)


def graph(client: Comfy, prefix: str = "sdk") -> dict[str, Any]:
    built = {node: {**value, "inputs": dict(value["inputs"])} for node, value in PICTURE.items()}
    built["1"]["inputs"]["image"] = client.assets.from_bytes(PNG, filename="photo.png")
    built["3"]["inputs"]["filename_prefix"] = prefix
    return built


def run(client: Comfy, prefix: str = "sdk", **more: Any) -> Any:
    return client.submit(client.workflows.from_json(graph(client, prefix)), **more)


def upload_and_dedupe(client: Comfy, folder: Path) -> None:
    first = client.assets.from_bytes(PNG, filename="photo.png")
    first.commit()
    again = client.assets.from_bytes(PNG, filename="photo.png")
    again.commit()
    assert first.hash == again.hash


def submit_wait_and_download(client: Comfy, folder: Path) -> None:
    job = run(client).wait(timeout=60)
    assert job.status == "succeeded", job.error
    [output] = job.outputs
    data = output.to_bytes()
    assert len(data) == output.size_bytes
    assert output.to_bytes(range=(0, 4)) == data[:5]
    assert output.to_file(folder / "out.png").read_bytes() == data
    assert output.get_download_url().url.endswith("/content")


def events(client: Comfy, folder: Path) -> None:
    seen = list(run(client).events())
    assert isinstance(seen[-1], StatusChange)
    assert seen[-1].status == "succeeded"
    assert any(isinstance(event, OutputReady) for event in seen[:-1])
    values = [event.value for event in seen if isinstance(event, Progress)]
    assert values == sorted(values)


def cancel(client: Comfy, folder: Path) -> None:
    job = run(client, "wait")
    assert job.cancel().status in ("canceling", "canceled")
    assert job.wait(timeout=60).status == "canceled"


def labels_and_list(client: Comfy, folder: Path) -> None:
    jobs = [run(client, metadata={"series": "a", "n": str(n)}) for n in range(3)]
    found = list(client.list_jobs(metadata={"series": "a"}))
    assert [job.id for job in found] == [job.id for job in reversed(jobs)]
    assert client.jobs.get(jobs[0].id).metadata == {"series": "a", "n": "0"}


def workflow(client: Comfy, folder: Path) -> None:
    found = run(client).get_workflow()
    assert found.format == "api"
    assert isinstance(found.graph["1"]["inputs"]["image"], str)


def delete(client: Comfy, folder: Path) -> None:
    asset = client.assets.from_bytes(PNG + b"2", filename="gone.png")
    asset.commit()
    client.assets.delete(asset.id)
    refused(NotFound, lambda: client.assets.delete(asset.id))


def failed_job(client: Comfy, folder: Path) -> None:
    job = run(client, "fail")
    error = refused(JobFailed, job.result)
    assert error.error.node_id == "1"


def errors(client: Comfy, folder: Path) -> None:
    refused(NotFound, lambda: client.jobs.get("00000000-0000-4000-8000-000000000000"))
    bad = client.workflows.from_json({"1": {"class_type": "Nowhere", "inputs": {}}})
    refused(InvalidWorkflow, lambda: client.submit(bad))
    run(client, idempotency_key="same")
    refused(IdempotencyKeyReuse, lambda: run(client, idempotency_key="same"))
    assert refused(ComfyError, lambda: run(client, metadata={"a b": "x"})).code == "metadata_invalid"
    stranger = Comfy(api_key="comfyui-wrong")
    error = refused(Unauthorized, lambda: stranger.jobs.get("x"))
    assert len(error.request_id) == 32


def refused(kind: type[Exception], act: Callable[[], Any]) -> Any:
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


CHECKS = (
    upload_and_dedupe,
    submit_wait_and_download,
    events,
    cancel,
    labels_and_list,
    workflow,
    delete,
    failed_job,
    errors,
)

if __name__ == "__main__":
    with Comfy(api_key=os.environ["COMFY_API_KEY"]) as comfy:
        for check in CHECKS:
            check(comfy, Path(sys.argv[1]))
            print(check.__name__, flush=True)

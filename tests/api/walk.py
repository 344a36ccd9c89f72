"""How to call each operation of the contract on an object of another user: which object it names, and where."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from tests.api.prompts import picture

JSON = "application/json"
TAGS = {"tags": ["walked"]}
GRAPH = {"nodes": [], "links": []}


@dataclass(frozen=True)
class Form:
    fields: Mapping[str, str]
    file: str


@dataclass(frozen=True)
class Case:
    """``names``: the kind of object that the request names, by ``{it}`` in path and query or by the body's argument;
    ``None`` for lists and for operations on the caller's own objects. ``is_shared``: anybody who knows the id may see
    it. ``owner``: the status for its owner, if that is not a success."""

    names: str | None = None
    body: Callable[[str], Any] | None = None
    query: str = ""
    is_shared: bool = False


def prompt(file: Any) -> Any:
    nodes = picture("walked")
    nodes["1"] = {"class_type": "LoadImage", "inputs": {"image": file}}
    return {"prompt": nodes}


CASES: dict[str, Case] = {
    "addAssetTags": Case("asset", lambda _: TAGS),
    "cancelAssetSeed": Case(),
    "cancelJob": Case("job"),
    "checkAssetByHash": Case("hash"),
    "createAssetFromHash": Case("hash", lambda it: {"hash": it, "tags": ["input"], "name": "walked.png"}),
    "createWorkflow": Case(body=lambda _: {"workflow_json": GRAPH, "name": "walked"}),
    "createWorkflowVersion": Case("workflow", lambda _: {"base_version": 1, "workflow_json": GRAPH}),
    "deleteAsset": Case("asset"),
    "deleteUserdataFile": Case("userdata"),
    "deleteWorkflow": Case("workflow"),
    "executePrompt": Case("file", prompt),
    "forkWorkflow": Case("workflow", lambda _: {"source_version": 1}),
    "freeMemory": Case(body=lambda _: {}),
    "getAllSettings": Case(),
    "getAssetById": Case("asset"),
    "getAssetSeedStatus": Case(),
    "getAssetTagHistogram": Case(),
    "getEmbeddings": Case(),
    "getExtensions": Case(),
    "getFeatures": Case(),
    "getGlobalSubgraph": Case(),
    "getGlobalSubgraphs": Case(),
    "getHealth": Case(),
    "getHistory": Case(),
    "getHistoryForPrompt": Case("job"),
    "getI18n": Case(),
    "getInternalFolderPaths": Case(),
    "getInternalLogs": Case(),
    "getInternalLogsRaw": Case(),
    "getJobDetail": Case("job"),
    "getJobStatus": Case("job"),
    "getMaskLayers": Case("file", query="?filename={it}"),
    "getModelFolders": Case(),
    "getModelsInFolder": Case(),
    "getNodeInfo": Case(),
    "getNodeReplacements": Case(),
    "getPromptInfo": Case(),
    "getPublishedWorkflow": Case("share", is_shared=True),
    "getQueueInfo": Case(),
    "getSettingById": Case("setting"),
    "getSystemStats": Case(),
    "getTask": Case("task"),
    "getUser": Case(),
    "getUserdata": Case(query="?dir=workflows&recurse=true"),
    "getUserdataFile": Case("userdata"),
    "getUserdataFilePublish": Case("userdata"),
    "getUsersInfo": Case(),
    "getVhsQueryVideo": Case("file", query="?filename={it}"),
    "getWorkflow": Case("workflow"),
    "getWorkflowContent": Case("workflow"),
    "getWorkflowTemplates": Case(),
    "interruptJob": Case("job", lambda it: {"prompt_id": it}),
    "listAssets": Case(),
    "listJobs": Case(),
    "listTags": Case(),
    "listTasks": Case(),
    "listWorkflows": Case(),
    "manageHistory": Case("job", lambda it: {"delete": [it]}),
    "manageQueue": Case("job", lambda it: {"delete": [it]}),
    "moveUserdataFile": Case("userdata"),
    "postUserdataFile": Case(body=lambda _: {}),
    "postUserdataFilePublish": Case("userdata", lambda _: {"asset_ids": []}),
    "pruneAssets": Case(),
    "removeAssetTags": Case("asset", lambda _: {"tags": ["kept"]}),
    "seedAssets": Case(body=lambda _: {}),
    "submitFeedback": Case(body=lambda _: {"type": "general", "content": "fine"}),
    "subscribeToLogs": Case(body=lambda _: {"clientId": "walked", "enabled": True}),
    "updateAsset": Case("asset", lambda _: {"name": "walked.png"}),
    "updateAssetTags": Case("asset", lambda _: {"add": ["walked"]}),
    "updateMultipleSettings": Case(body=lambda _: {"Walked": 1}),
    "updateSettingById": Case(body=lambda _: 1),
    "updateWorkflow": Case("workflow", lambda _: {"name": "walked"}),
    "uploadAsset": Case(body=lambda _: Form({"tags": '["input"]', "name": "walked.png"}, "file")),
    "uploadImage": Case(body=lambda _: Form({}, "image")),
    "uploadMask": Case(
        "file", lambda it: Form({"original_ref": json.dumps({"filename": it, "type": "input"})}, "image")
    ),
    "viewFile": Case("file", query="?filename={it}&type=input"),
}

V2_CASES: dict[str, Case] = {
    "assetFromHash": Case("hash", lambda it: {"hash": it, "file_path": "walked.png"}),
    "cancelJob": Case("job"),
    "deleteAsset": Case("asset"),
    "getAsset": Case("asset"),
    "getAssetContent": Case("asset"),
    "getJob": Case("job"),
    "getJobEvents": Case("job"),
    "getJobLogs": Case("job"),
    "getJobWorkflow": Case("job"),
    "headAssetByHash": Case("hash"),
    "listJobs": Case(),
    "postAssets": Case(body=lambda _: Form({"content_type": "image/png", "file_path": "walked.png"}, "file")),
    "postJobs": Case("asset", lambda it: {"workflow": prompt({"__type": "core/ASSET", "info": {"id": it}})["prompt"]}),
}
"""The same for Comfy API v2."""


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (shade, 0, 0, 255)).save(buffer, "PNG")
    return buffer.getvalue()


def encode(body: Any) -> tuple[bytes, dict[str, str]]:
    """The bytes of a case's body, and its headers."""
    if not isinstance(body, Form):
        return json.dumps(body).encode(), {"content-type": JSON}
    parts = [(f'name="{name}"', value.encode()) for name, value in body.fields.items()]
    parts.append((f'name="{body.file}"; filename="walked.png"', png(9)))
    lines = [b"--edge\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + data for head, data in parts]
    return b"\r\n".join(lines) + b"\r\n--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}

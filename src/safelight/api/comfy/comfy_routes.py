"""Routes of ComfyUI that the contract does not have, and spellings of its operations that answer in another shape.

Every other ``/api/X`` of the contract is served at ``/X`` as well, in the same shape. ``/assets`` is not: the web UI's
own files are there.
"""

from safelight.api.comfy import (
    asset,
    files,
    history,
    job,
    model,
    node,
    publication,
    queue,
    setting,
    user,
    userdata,
    web,
)
from safelight.api.contract import Parameter, Shape
from safelight.api.route import Route

ONLY_WITH_API = "/api/assets"

_PAGE = (Parameter("max_items", type="integer"), Parameter("offset", type="integer"))
_LISTING = (
    Parameter("dir"),
    Parameter("recurse", type="boolean", default=False),
    Parameter("split", type="boolean", default=False),
    Parameter("full_info", type="boolean", default=False),
)
_OVERWRITE = Parameter("overwrite", default="true")
_FULL_INFO = Parameter("full_info", default="false")
_FILENAME = Parameter("filename", required=True)


ROUTES = (
    Route("GET", "/api/assets/{id}/content", asset.get_asset_content, also_api=False),
    Route("GET", "/queue", queue.get_core_queue, also_api=False),
    Route("GET", "/history", history.get_core_history, _PAGE),
    Route("GET", "/history/{prompt_id}", history.get_core_history_item),
    Route("POST", "/jobs/cancel", job.cancel_jobs),
    Route("GET", "/object_info/{node_class}", node.get_one_node_info),
    Route("GET", "/models", model.list_model_folders, is_open=True),
    Route("GET", "/models/{folder}", model.list_model_names, is_open=True),
    Route("GET", "/view_metadata/{folder}", model.get_model_metadata, (_FILENAME,)),
    Route("GET", "/experiment/models/preview/{folder}/{path_index}/{filename}", model.get_model_preview, is_open=True),
    Route("GET", "/workflow_templates/{pack}/{filename}", web.get_workflow_template, is_open=True),
    Route("GET", "/workflows/published/{share_id}/assets/{asset_id}", publication.get_published_asset),
    Route("POST", "/users", user.create_user),
    Route("GET", "/internal/files/{type}", files.list_internal_files, also_api=False),
    Route("GET", "/settings/{id}", setting.get_core_setting, also_api=False),
    Route("GET", "/userdata", userdata.get_core_userdata, _LISTING, also_api=False, shape=Shape.TEXT),
    Route("GET", "/v2/userdata", userdata.list_core_tree, (Parameter("path"),), shape=Shape.TEXT),
    Route(
        "POST",
        "/userdata/{file}",
        userdata.post_core_userdata_file,
        (_OVERWRITE, _FULL_INFO),
        also_api=False,
        shape=Shape.TEXT,
    ),
    Route(
        "POST",
        "/userdata/{file}/move/{dest}",
        userdata.move_core_userdata_file,
        (_OVERWRITE,),
        also_api=False,
        shape=Shape.TEXT,
    ),
)

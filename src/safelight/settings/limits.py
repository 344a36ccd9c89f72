"""How much a request may ask for, and how long it may take."""

from dataclasses import dataclass
from typing import Annotated

from safelight.settings.declare import PositiveBytes, PositiveSeconds, doc


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Limits of requests"""

    max_body_bytes: Annotated[PositiveBytes, doc("Largest JSON body.")] = 32 * 1024 * 1024
    max_upload_bytes: Annotated[PositiveBytes, doc("Largest file of `/api/upload/*`.")] = 100 * 1024 * 1024
    max_image_pixels: Annotated[
        int, doc("Largest picture of `/api/upload/*`, in pixels; the default is the contract's 64 megapixels.", gt=0)
    ] = 64 * 1024 * 1024
    max_published_bytes: Annotated[
        PositiveBytes, doc("Largest workflow, as JSON, that can be published and read by its share id.")
    ] = 8 * 1024 * 1024
    max_asset_bytes: Annotated[PositiveBytes, doc("Largest file of `/api/assets`.")] = 100 * 1024 * 1024 * 1024
    max_graph_nodes: Annotated[int, doc("Largest number of nodes in a graph.", gt=0)] = 10_000
    max_prompt_names: Annotated[
        int, doc("Largest number of different strings in a prompt that may be file names.", gt=0)
    ] = 20_000
    slow_headers_s: Annotated[PositiveSeconds, doc("Time that a client has to send the headers of a request.")] = 20.0
    slow_body_s: Annotated[
        PositiveSeconds, doc("Total time that the server waits for a body that arrives slower than 8 KiB a second.")
    ] = 60.0
    read_deadline_s: Annotated[
        PositiveSeconds, doc("Time after which a read, or the validation of a prompt, is answered with 503.")
    ] = 60.0

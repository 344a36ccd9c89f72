"""A node pack in V3 form."""

from comfy_api.latest import ComfyExtension, io

from .nodes import NODES


class Modern(ComfyExtension):
    async def on_load(self) -> None:
        self.loaded = True

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES if self.loaded else []


async def comfy_entrypoint() -> ComfyExtension:
    return Modern()

"""A node pack in V1 form: what packs do with ComfyUI's modules, each in one small node."""

from .flow import FLOW_NODES
from .values import VALUE_NODES
from .work import WORK_NODES

NODE_CLASS_MAPPINGS = {node.__name__: node for node in (*FLOW_NODES, *VALUE_NODES, *WORK_NODES)}
NODE_DISPLAY_NAME_MAPPINGS = {"ClassicNumber": "Classic Number"}
WEB_DIRECTORY = "./web"

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]

"""The web server and its events."""

import asyncio
import struct

from aiohttp import web
from execution import PromptQueue

import nodes


class PromptServer:
    instance = None

    def __init__(self, loop):
        PromptServer.instance = self
        self.loop = loop
        self.app = web.Application()
        self.routes = web.RouteTableDef()
        self.prompt_queue = PromptQueue()
        self.messages = asyncio.Queue()
        self.client_id = None
        self.last_node_id = None
        self.sockets_metadata = {}
        self.on_prompt_handlers = []

        @self.routes.get("/object_info")
        async def object_info(request):
            return web.json_response({name: _info(name, cls) for name, cls in nodes.NODE_CLASS_MAPPINGS.items()})

        @self.routes.get("/history")
        async def history(request):
            return web.json_response(list(self.prompt_queue.history))

    def add_routes(self):
        below = web.RouteTableDef()
        for route in self.routes:
            below.route(route.method, f"/api{route.path}")(route.handler)
        self.app.add_routes([*below, *self.routes])

    def send_sync(self, event, data, sid=None):
        self.loop.call_soon_threadsafe(self.messages.put_nowait, (event, data, sid))

    def send_progress_text(self, text, node_id, sid=None):
        name = node_id.encode()
        self.send_sync(3, struct.pack(">I", len(name)) + name + text.encode(), sid)

    def add_on_prompt_handler(self, handler):
        self.on_prompt_handlers.append(handler)

    def trigger_on_prompt(self, json_data):
        for handler in self.on_prompt_handlers:
            json_data = handler(json_data)
        return json_data

    async def start_multi_address(self, addresses, call_on_start=None, verbose=True):
        raise SystemExit("the stand-in listens on no port")


def _info(name, cls):
    declared = cls.INPUT_TYPES()
    return {
        "input": declared,
        "input_order": {section: list(inputs) for section, inputs in declared.items()},
        "output": cls.RETURN_TYPES,
        "output_is_list": getattr(cls, "OUTPUT_IS_LIST", [False] * len(cls.RETURN_TYPES)),
        "output_name": getattr(cls, "RETURN_NAMES", cls.RETURN_TYPES),
        "name": name,
        "display_name": nodes.NODE_DISPLAY_NAME_MAPPINGS.get(name, name),
        "description": "",
        "python_module": cls.__module__,
        "category": getattr(cls, "CATEGORY", "sd"),
        "output_node": getattr(cls, "OUTPUT_NODE", False),
    }

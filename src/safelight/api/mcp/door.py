"""The endpoint ``/mcp``: the official library speaks the protocol; the tools are those of this package.

Every request is answered alone (stateless, JSON), so that any server of an installation can answer it. The library is
imported with the first request: it takes most of a second.
"""

import asyncio
import base64
import logging
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from safelight import __version__
from safelight.api.app import App
from safelight.api.auth import Authenticator
from safelight.api.contract import Shape
from safelight.api.error_responses import Unauthenticated, shaped
from safelight.api.mcp import catalogue_tools, job_tools
from safelight.api.mcp.published_tools import PREFIX, published_tools
from safelight.api.mcp.tool import Picture, Tool, ToolCall
from safelight.api.origin import Origins
from safelight.api.quota_notices import tell_refusal
from safelight.api.responses import encode_json
from safelight.core.errors import Forbidden, InvalidPrompt, SafelightError, Unavailable
from safelight.core.user import Principal

log = logging.getLogger(__name__)

PATH = "/mcp"
_WHO = "safelight.mcp_caller"
_FIXED = (*catalogue_tools.TOOLS, *job_tools.TOOLS)


class McpDoor:
    """Mutable: the library's session manager, and the task in which it runs, from the first request on."""

    def __init__(self, app: App, authenticator: Authenticator, origins: Origins) -> None:
        self._app = app
        self._authenticator = authenticator
        self._origins = origins
        self._manager: Any = None
        self._running: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            await self._origins.check(request)
            who = await self._authenticator.authenticate(request)
            manager = await self._start()
        except Forbidden as error:
            await shaped(Shape.ERROR, 403, error.code, error.message)(scope, receive, send)
            return
        except Unavailable as error:
            await shaped(Shape.ERROR, 503, error.code, error.message)(scope, receive, send)
            return
        if who is None:
            refused = Unauthenticated()
            headers = {"www-authenticate": "Bearer"}
            await shaped(Shape.ERROR, 401, refused.code, refused.message, headers=headers)(scope, receive, send)
            return
        if manager is None:
            message = "this server is installed without the library for MCP (pip install 'safelight[mcp]')"
            await Response(message, 501, media_type="text/plain")(scope, receive, send)
            return
        await manager.handle_request({**scope, _WHO: who}, receive, send)

    async def stop(self) -> None:
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _start(self) -> Any:
        async with self._starting:
            if self._manager is None:
                server = await asyncio.to_thread(_make_server, self)
                if server is None:
                    return None
                from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

                manager = StreamableHTTPSessionManager(server, json_response=True, stateless=True)
                ready = asyncio.Event()
                self._running = asyncio.create_task(_run(manager, ready))
                await ready.wait()
                self._manager = manager
        return self._manager

    async def tools(self, who: Principal) -> Sequence[Tool]:
        return [*_FIXED, *await published_tools(self._app, who)]

    async def call(self, http: Request, name: str, arguments: dict[str, Any]) -> Any:
        """Run a tool. Returns plain data or a :class:`Picture`; raises :class:`SafelightError`."""
        who: Principal = http.scope[_WHO]
        published = await published_tools(self._app, who) if name.startswith(PREFIX) else []
        tool = next((tool for tool in (*_FIXED, *published) if tool.name == name), None)
        if tool is None:
            raise SafelightError(f"there is no tool {name[:80]!r}")
        unknown = sorted(set(arguments) - set(tool.schema["properties"]))
        if unknown:
            raise SafelightError(f"the tool {name} has no argument {unknown[0][:80]!r}")
        try:
            return await tool.run(ToolCall(self._app, who, http, arguments))
        except SafelightError as error:
            await tell_refusal(self._app, who.user_id, error)
            raise


async def _run(manager: Any, ready: asyncio.Event) -> None:
    async with manager.run():
        ready.set()
        await asyncio.Event().wait()


def _make_server(door: McpDoor) -> Any:
    """The library's server; ``None`` if the library is not installed. Blocks while it is imported."""
    try:
        import mcp_types as types
        from mcp.server.lowlevel import Server
    except ImportError:
        log.warning("the library for MCP is not installed (pip install 'safelight[mcp]')")
        return None

    async def list_tools(context: Any, params: Any) -> Any:
        tools = await door.tools(context.request.scope[_WHO])
        return types.ListToolsResult(
            tools=[
                types.Tool(name=tool.name, description=tool.description, input_schema=dict(tool.schema))
                for tool in tools
            ]
        )

    async def call_tool(context: Any, params: Any) -> Any:
        try:
            answer = await door.call(context.request, params.name, dict(params.arguments or {}))
        except InvalidPrompt as error:
            refused = {"error": error.error, "node_errors": error.node_errors}
            return types.CallToolResult(content=[_text(types, refused)], is_error=True)
        except SafelightError as error:
            refused = {"error": {"code": error.code, "message": error.message}}
            return types.CallToolResult(content=[_text(types, refused)], is_error=True)
        if isinstance(answer, Picture):
            data = base64.b64encode(answer.data).decode("ascii")
            return types.CallToolResult(content=[types.ImageContent(data=data, mime_type=answer.mime_type)])
        return types.CallToolResult(content=[_text(types, answer)])

    instructions = "Find nodes and models, validate a graph, run it, follow the job, and fetch its outputs."
    return Server(
        "safelight", version=__version__, instructions=instructions, on_list_tools=list_tools, on_call_tool=call_tool
    )


def _text(types: Any, content: Any) -> Any:
    return types.TextContent(text=encode_json(content).decode())

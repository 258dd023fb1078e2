"""Mcp: the tools of `commands.mcp` over the Model Context Protocol, on stdin and stdout."""

import io
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from fftdeploy.cli.app import command, exit_code
from fftdeploy.cli.session import Session, open_session
from fftdeploy.errors import OK, UsageError
from fftdeploy.output.report import Report

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ListToolsResult


@command(
    "mcp",
    examples="""
    fftdeploy mcp
    claude mcp add fftdeploy -- fftdeploy mcp --file ~/desk/deployments.toml
    """,
)
def mcp(session: Session) -> Report:
    """Serve the assistant on stdin and stdout until it leaves."""
    try:
        import anyio
        import mcp.server.lowlevel  # noqa: F401  only whether it is there
    except ImportError:
        raise UsageError(
            "mcp needs the Python package of the protocol, which is not installed",
            hint="pip install 'fftdeploy[mcp]'",
            code="missing-extra",
        ) from None
    from fftdeploy.commands.mcp import TOOLS
    from fftdeploy.commands.screens import Assisted

    session.output.note("waiting for an assistant's messages on stdin; Ctrl-D ends it")
    assistant = _Assistant(session)
    anyio.run(assistant.serve)
    return Report(data=Assisted(tuple(TOOLS), assistant.calls))


class _Assistant:
    """One session with an assistant."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.calls = 0

    async def serve(self) -> None:
        """Answer until it leaves."""
        from anyio import Lock
        from mcp.server.lowlevel import Server
        from mcp.server.stdio import stdio_server

        from fftdeploy import __version__
        from fftdeploy.commands.mcp import INSTRUCTIONS

        self._turn = Lock()
        server = Server(
            "fftdeploy",
            version=__version__,
            instructions=INSTRUCTIONS,
            on_list_tools=self._list,
            on_call_tool=self._call,
        )
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    async def _list(self, *_: object) -> "ListToolsResult":
        from mcp_types import ListToolsResult, Tool, ToolAnnotations

        from fftdeploy.commands.mcp import TOOLS, output_schema

        hints = ToolAnnotations(read_only_hint=True, idempotent_hint=True)
        tools = [
            Tool(
                name=name,
                description=tool.description,
                input_schema=tool.input_schema(),
                output_schema=output_schema(name),
                annotations=hints,
            )
            for name, tool in TOOLS.items()
        ]
        return ListToolsResult(tools=tools)

    async def _call(self, _: object, asked: Any) -> "CallToolResult":
        """Run a tool beside the loop, one after the other; an error is a result, too."""
        from anyio import to_thread
        from mcp_types import CallToolResult, TextContent

        self.calls += 1
        answer = partial(_answer, self.session, asked.name, asked.arguments or {})
        async with self._turn:
            text = await to_thread.run_sync(answer)
        said = json.loads(text)
        content = [TextContent(type="text", text=text)]
        return CallToolResult(content=content, structured_content=said, is_error="error" in said)


def _answer(session: Session, name: str, arguments: dict[str, Any]) -> str:
    """Return what the command prints with `--json`, with what a plan has beside it."""
    from fftdeploy.commands.mcp import TOOLS, call

    out = io.StringIO()
    own = open_session(
        name if name in TOOLS else "usage",
        os.environ,
        file=session.file,
        form="json",
        quiet=True,
        no_color=True,
        stdout=out,
        stderr=io.StringIO(),
    )

    def run(session: Session) -> Report:
        result, more = call(session, name, arguments)
        return Report(getattr(result, "outcome", OK), session.document(result) | more)

    try:
        exit_code(own, run)
    finally:
        own.close()
    return out.getvalue()

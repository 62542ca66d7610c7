"""`lorajax-tui --serve`: the same application in a browser of this machine.

textual-serve starts one process for every page that is opened. Its websocket obeys
whoever connects, so only pages of the server itself are let in: another site that a
browser has open, or that calls itself this machine, is refused. Nothing is fetched from
elsewhere.
"""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from textual_serve.server import Server

HOST = "127.0.0.1"
# The page's own scripts and styles; no fonts or pictures from elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "connect-src 'self' ws://{host}"
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LoopbackServer(Server):
    """A server for this machine alone."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(only_own_pages(f"{self.host}:{self.port}"))
        return app


def only_own_pages(place: str):  # aiohttp's middleware has no public type
    """Refuses requests that were not made of this server by its own page.

    Args:
      place: `host:port` as a browser names it.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", f"http://{place}")
        if request.host != place or origin != f"http://{place}":
            raise web.HTTPForbidden(text=f"expected a page of http://{place}")
        response = await handler(request)
        if not response.prepared:
            policy = _POLICY.format(host=place)
            response.headers["Content-Security-Policy"] = policy
        return response

    return check


def check_port(port: int) -> None:
    """Tells whether a port can be listened on, before a page is promised there.

    Raises:
      OSError: where it is taken, or only another user may have it.
    """
    socket.create_server((HOST, port)).close()


def serve(arguments: Sequence[str], port: int) -> None:
    """Serves the application until it is interrupted.

    Args:
      arguments: of `lorajax-tui`, for every page.
    """
    command = shlex.join([sys.executable, "-m", "lorajax_tui", *arguments])
    LoopbackServer(command, HOST, port, "lorajax").serve()

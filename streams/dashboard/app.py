"""The dashboard's pages over HTTP: one page, each of its panels, frames as they come, and one device."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streams.dashboard.service import DashboardService

STATIC = Path(__file__).parent / "static"
PANELS = (
    "flow",
    "stages",
    "freshness",
    "lag",
    "throughput",
    "arms",
    "use",
    "model",
    "canary",
    "fleet",
    "partitions",
    "processes",
    "results",
    "drift",
    "faults",
)
_COOKIE = "coda-token"
_LOOK_S = 0.2
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


def make_app(service: DashboardService, token: str = "", ended: Callable[[], bool] = lambda: False) -> Starlette:
    """The application; with a `token` nobody gets in without it, without one only by a name of this machine.

    Streams end once `ended()`.
    """

    async def page(request: Request) -> Response:
        panel = request.path_params.get("name", "")
        if panel and panel not in PANELS:
            return PlainTextResponse(f"no panel {panel}; there are {', '.join(PANELS)}\n", 404)
        return HTMLResponse((STATIC / "page.html").read_text().replace('data-only=""', f'data-only="{panel}"'))

    async def history(_: Request) -> Response:
        return _json(await asyncio.to_thread(service.history))

    async def frames(request: Request) -> Response:
        last = request.headers.get("last-event-id", "")
        number = int(last) if last.isdecimal() else None
        return StreamingResponse(_stream(service, number, ended), media_type="text/event-stream")

    async def names(_: Request) -> Response:
        return _json(service.crowd.names)

    async def device(request: Request) -> Response:
        found = service.crowd.device(request.path_params["user_id"])
        return _json(found) if found else PlainTextResponse("no device of this name has reported anything\n", 404)

    routes = [
        Route("/", page),
        Route("/panel/{name}", page),
        Route("/history", history),
        Route("/frames", frames),
        Route("/devices", names),
        Route("/devices/{user_id:path}", device),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Door, token=token), Middleware(GZipMiddleware)])


class Door:
    """Lets in who brings the token, in the address once and in a cookie from then on; sets the headers of safety."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if (refusal := self._refusal(request)) is not None:
            await refusal(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        if not self._token:
            if request.headers.get("host", "").rpartition(":")[0] in _LOOPBACK:
                return None
            return PlainTextResponse("this dashboard answers to 127.0.0.1 and localhost alone\n", 403)
        if secrets.compare_digest(request.cookies.get(_COOKIE, ""), self._token):
            return None
        if not secrets.compare_digest(request.query_params.get("token", ""), self._token):
            return PlainTextResponse("open the address with ?token=… that `coda dashboard` printed\n", 401)
        answer = RedirectResponse(request.url.remove_query_params("token").path)
        answer.set_cookie(_COOKIE, self._token, httponly=True, samesite="strict")
        return answer


def _json(document: Any) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json", headers={"Cache-Control": "no-store"})


async def _stream(service: DashboardService, number: int | None, ended: Callable[[], bool]) -> AsyncIterator[str]:
    """Server-sent events: each frame as it comes, and how devices are where that changed."""
    newest = service.newest()
    last = number if number is not None else (newest.number - 1 if newest else 0)
    told = ""
    while not ended():
        frames = service.since(last)
        if frames is None:
            yield "event: reset\ndata: {}\n\n"  # too long away: the page takes the whole history
            last = newest.number if (newest := service.newest()) else 0
            continue
        for frame in frames:
            last = frame.number
            yield f"id: {frame.number}\ndata: {msgspec.json.encode(frame).decode()}\n\n"
        if frames:
            before, told = told, service.cells
            if told != before:
                yield f"event: cells\ndata: {msgspec.json.encode(_changes(before, told)).decode()}\n\n"
        await asyncio.sleep(_LOOK_S)


def _changes(before: str, now: str) -> dict[str, Any]:
    """What a page needs to know of its cells: how many there are, and those that changed."""
    changed = [[at, cell] for at, cell in enumerate(now) if at >= len(before) or before[at] != cell]
    if len(changed) * 8 > len(now):
        return {"all": now}
    return {"count": len(now), "changed": changed}

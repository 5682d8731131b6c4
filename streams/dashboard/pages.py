"""What the dashboard of a live system and that of a run have in common: the page, its panels, who gets in."""

from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from streams.dashboard.door import Door

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
    "timeline",
    "fleet",
    "partitions",
    "processes",
    "results",
    "groups",
    "drift",
    "faults",
)


def application(routes: list[BaseRoute], token: str = "", mode: str = "live") -> Starlette:
    """The page, each of its panels and what else `routes` answer; the page finds its figures as `mode` says.

    With a `token` nobody gets in without it, without one only by a name of this machine.
    """

    async def page(request: Request) -> Response:
        panel = request.path_params.get("name", "")
        if panel and panel not in PANELS:
            return PlainTextResponse(f"no panel {panel}; there are {', '.join(PANELS)}\n", 404)
        text = (STATIC / "page.html").read_text().replace('data-only=""', f'data-only="{panel}"')
        return HTMLResponse(text.replace('data-mode="live"', f'data-mode="{mode}"'))

    pages = [Route("/", page), Route("/panel/{name}", page), Mount("/static", StaticFiles(directory=STATIC))]
    return Starlette(routes=[*pages, *routes], middleware=[Middleware(Door, token=token), Middleware(GZipMiddleware)])


def json_answer(document: Any) -> Response:
    """The document, which no browser keeps."""
    return Response(msgspec.json.encode(document), media_type="application/json", headers={"Cache-Control": "no-store"})

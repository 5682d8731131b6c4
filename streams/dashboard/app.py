"""The dashboard of a live system over HTTP: frames as they come, those that were missed, and one device."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from streams.dashboard.learned import ELSEWHERE, FleetFolder
from streams.dashboard.pages import application, json_answer
from streams.dashboard.service import DashboardService

_LOOK_S = 0.2


def make_app(
    service: DashboardService,
    token: str = "",
    ended: Callable[[], bool] = lambda: False,
    *,
    fleet: FleetFolder | None = None,
) -> Starlette:
    """The application, to which a `token` is the key, if there is one; streams end once `ended()`.

    What devices learned is in the folder of their `fleet`, if that is on this machine.
    """

    async def history(_: Request) -> Response:
        return json_answer(await asyncio.to_thread(service.history))

    async def frames(request: Request) -> Response:
        last = request.headers.get("last-event-id", "")
        number = int(last) if last.isdecimal() else None
        return StreamingResponse(_stream(service, number, ended), media_type="text/event-stream")

    async def names(_: Request) -> Response:
        return json_answer(service.crowd.names)

    async def device(request: Request) -> Response:
        found = service.crowd.device(user_id := request.path_params["user_id"])
        if found is None:
            return PlainTextResponse("no device of this name has reported anything\n", 404)
        learned = await asyncio.to_thread(fleet.words, user_id) if fleet is not None else [ELSEWHERE]
        return json_answer({**msgspec.structs.asdict(found), "learned": learned})

    return application(
        [
            Route("/history", history),
            Route("/frames", frames),
            Route("/devices", names),
            Route("/devices/{user_id:path}", device),
        ],
        token,
    )


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

"""A run that was recorded, as frames; and over HTTP, played back: each browser goes through it at its own pace."""

import asyncio
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streams.dashboard.frames import Frames
from streams.dashboard.pages import application, json_answer
from streams.dashboard.past_devices import NONE_LEFT, PastDevices
from streams.watch.recording import STEP_MS, Playback
from wire.errors import InputError

MOST = 600  # moments of a run that are drawn: of a longer one every other second, or fewer


def frames_of(playback: Playback) -> Frames:
    """A run from its beginning to its end."""
    frames, every = Frames(kept=2 * MOST), 1 + playback.length_ms // STEP_MS // MOST
    for picture in playback.pictures(every * STEP_MS):
        frames.take(picture)
    return frames


def played(run: Path, token: str = "") -> Starlette:
    """The application for the run in this folder; raises `InputError` for one without a run."""
    playback = Playback.of(run)
    devices = PastDevices(run, playback.last().cloud)
    return make_played_app(frames_of(playback), run.resolve().name, token, devices=devices)


def make_played_app(frames: Frames, name: str, token: str = "", *, devices: PastDevices) -> Starlette:
    """The application for the run of that `name`, to which a `token` is the key, if there is one."""
    history = frames.history()

    async def whole(_: Request) -> Response:
        return json_answer({**msgspec.structs.asdict(history), "run": name})

    async def frame(request: Request) -> Response:
        found = frames.at(request.path_params["number"])
        return json_answer(found) if found else PlainTextResponse("this run has no such moment\n", 404)

    async def names(_: Request) -> Response:
        return json_answer({"names": devices.names, "why_none": "" if devices.names else NONE_LEFT})

    async def device(request: Request) -> Response:
        try:
            found = await asyncio.to_thread(devices.device, request.path_params["user_id"])
        except InputError as error:
            return PlainTextResponse(f"{error}\n", 500)
        return json_answer(found) if found else PlainTextResponse("no device of this name predicted anything\n", 404)

    return application(
        [
            Route("/history", whole),
            Route("/frames/{number:int}", frame),
            Route("/devices", names),
            Route("/devices/{user_id:path}", device),
        ],
        token,
        mode="played",
    )

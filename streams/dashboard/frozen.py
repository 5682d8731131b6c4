"""The dashboard of a run that is over, as one page that needs nothing beside it and asks nobody."""

import msgspec

from streams.dashboard.app import STATIC
from streams.dashboard.frames import Frames
from streams.watch.recording import STEP_MS, Playback

MOST = 600  # moments of a run that are drawn: of a longer one every other second, or fewer


def frozen_page(playback: Playback) -> str:
    """The page of the run from its beginning to its end."""
    frames, every = Frames(kept=2 * MOST), 1 + playback.length_ms // STEP_MS // MOST
    for picture in playback.pictures(every * STEP_MS):
        frames.take(picture)
    history = msgspec.json.encode(frames.history()).decode().replace("</", "<\\/")
    page = (STATIC / "page.html").read_text()
    for name in ("uPlot.min.css", "dashboard.css"):
        link = f'<link rel="stylesheet" href="/static/{name}">'
        page = page.replace(link, f"<style>{(STATIC / name).read_text()}</style>")
    for name in ("uPlot.iife.min.js", "dashboard.js"):
        link = f'<script src="/static/{name}"></script>'
        page = page.replace(link, f"<script>{(STATIC / name).read_text()}</script>")
    return page.replace("<script>", f'<script id="run" type="application/json">{history}</script>\n<script>', 1)

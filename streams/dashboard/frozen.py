"""The dashboard of a run that is over, as one page that needs nothing beside it and asks nobody.

It stands at the moment before the run's processes began to end: later on each of them is down, as it should be.
"""

import msgspec

from streams.dashboard.pages import STATIC
from streams.dashboard.played import frames_of
from streams.watch.recording import Playback


def frozen_page(playback: Playback) -> str:
    """The page of the run from its beginning to its end."""
    frames = frames_of(playback)
    shown = msgspec.structs.replace(frames.history(), newest=frames.before_the_end)
    # A script ends at "</script>", and not even there after "<!--<script": names of strangers may hold both.
    history = msgspec.json.encode(shown).decode().replace("<", "\\u003c")
    page = (STATIC / "page.html").read_text()
    for name in ("uPlot.min.css", "dashboard.css"):
        link = f'<link rel="stylesheet" href="/static/{name}">'
        page = page.replace(link, f"<style>{(STATIC / name).read_text()}</style>")
    for name in ("uPlot.iife.min.js", "dashboard.js"):
        link = f'<script src="/static/{name}"></script>'
        page = page.replace(link, f"<script>{(STATIC / name).read_text()}</script>")
    return page.replace("<script>", f'<script id="run" type="application/json">{history}</script>\n<script>', 1)

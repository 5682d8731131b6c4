"""The flows as one graph in 80 columns: each stage with its word, its rate and its own lag."""

from rich.text import Text

from monitor.metrics import Metrics
from monitor.words import Word
from streams.times import span
from streams.watch.picture import Picture, StageView

# Of the 16 that every terminal has; the word stands beside it for whoever sees none.
COLOURS = {
    Word.FRESH: "green",
    Word.IDLE: "cyan",
    Word.BEHIND: "yellow",
    Word.STALLED: "bold magenta",
    Word.DOWN: "bold red",
}
_WIDTH = 17  # of a stage: four, and three arrows of 4, are 80


def graph(picture: Picture) -> Text:
    """Events go right, then down to devices; what learns from them hangs below.

    Where they are scored first, as somebody tells of it, they are produced on a line of its own.
    """
    scored = picture.stage("scored") is not None
    trunk = ("scored" if scored else "produced", "pooled", "matched", "tunnelled")
    lines = [Text(" ").join((_name(picture, "produced"), _figures(picture, "produced"), Text("─▶")))] if scored else []
    lines.append(Text(" ─▶ ").join(_cell(_name(picture, name)) for name in trunk))
    lines.append(Text("    ").join(_cell(_figures(picture, name)) for name in trunk))
    lines.append(_branch("└▶ learned", picture.stage("learned"), _model(picture), indent=_WIDTH + 4))
    lines.append(_devices(picture))
    return Text("\n").join(lines)


def _name(picture: Picture, name: str) -> Text:
    stage = picture.stage(name)
    return Text.assemble(f"{name} ", (stage.word, COLOURS[stage.word]) if stage else ("?", "dim"))


def _figures(picture: Picture, name: str) -> Text:
    stage = picture.stage(name)
    return Text(_short(stage) if stage else "nobody says", style="dim" if stage is None else "")


def _short(stage: StageView) -> str:
    return f"{stage.per_s:,.0f}/s" + (f" lag {span(stage.local_s)}" if stage.local_s is not None else "")


def _cell(text: Text) -> Text:
    text.truncate(_WIDTH, overflow="ellipsis", pad=True)
    return text


def _branch(name: str, stage: StageView | None, more: str, *, indent: int) -> Text:
    line = Text(" " * indent + name + " ")
    if stage is None:
        return line + Text("nobody says", style="dim")
    return line + Text(stage.word, style=COLOURS[stage.word]) + Text(f" {_short(stage)}{more}")


def _devices(picture: Picture) -> Text:
    """What the devices do with what their users did and with what the tunnel brings."""
    connected = picture.total(Metrics.devices_connected)
    line = Text(f"  └▶ {connected:,.0f} devices:")
    for name in ("pushed", "predicted", "trained"):
        line = line + Text(" ") + _name(picture, name)
        if (stage := picture.stage(name)) is not None:
            line = line + Text(f" {stage.per_s:,.0f}/s")
    return line


def _model(picture: Picture) -> str:
    version = picture.total(Metrics.model_version)
    return f" · cloud model v{version:.0f}" if version else " · no cloud model yet"

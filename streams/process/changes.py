"""When a stage falls ill, and when it is well again: one line each, none in between."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from monitor.words import Word
from streams.times import span
from streams.watch.picture import Picture, StageView

_ILL = frozenset({Word.STALLED, Word.DOWN})


class Change(NamedTuple):
    """What a log line says: in words, and what they are about by name."""

    words: str
    about: dict[str, Any]


class Changes:
    """What changed from one picture to the next; FRESH, IDLE and BEHIND come and go, and are no news."""

    def __init__(self) -> None:
        self._ill: dict[str, int] = {}  # stage: since when

    def of(self, picture: Picture) -> Iterator[Change]:
        """One for each stage that changed: its word, rule, likely cause and remedy; or how long it was ill."""
        for stage in picture.stages:
            since_ms = self._ill.get(stage.stage)
            if stage.word in _ILL and since_ms is None:
                self._ill[stage.stage] = picture.at_ms
                yield _fell_ill(stage, picture)
            elif stage.word not in _ILL and since_ms is not None:
                del self._ill[stage.stage]
                after_s = (picture.at_ms - since_ms) / 1000
                about = {"stage": stage.stage, "word": str(stage.word), "after_s": after_s}
                yield Change(f"{stage.stage} is {stage.word} again after {span(after_s)}", about)


def _fell_ill(stage: StageView, picture: Picture) -> Change:
    said = {"rule": stage.rule, "cause": picture.cause, "remedy": picture.remedy}
    known = {name: words for name, words in said.items() if words}
    words = "; ".join(f"{name}: {words}" for name, words in known.items())
    return Change(f"{stage.stage} is {stage.word}; {words}", {"stage": stage.stage, "word": str(stage.word), **known})

"""When a stage falls ill, and when it is well again: one line each, none in between."""

from collections.abc import Iterator

from monitor.words import Word
from streams.times import span
from streams.watch.picture import Picture, StageView

_ILL = frozenset({Word.STALLED, Word.DOWN})


class Changes:
    """What changed from one picture to the next; FRESH, IDLE and BEHIND come and go, and are no news."""

    def __init__(self) -> None:
        self._ill: dict[str, int] = {}  # stage: since when

    def of(self, picture: Picture) -> Iterator[str]:
        """A sentence for each stage that changed: the word, its rule, how long it lasted, the likely cause."""
        for stage in picture.stages:
            since_ms = self._ill.get(stage.stage)
            if stage.word in _ILL and since_ms is None:
                self._ill[stage.stage] = picture.at_ms
                yield _fell_ill(stage, picture.cause)
            elif stage.word not in _ILL and since_ms is not None:
                del self._ill[stage.stage]
                yield f"{stage.stage} is {stage.word} again after {span((picture.at_ms - since_ms) / 1000)}"


def _fell_ill(stage: StageView, cause: str) -> str:
    return f"{stage.stage} is {stage.word}: {stage.rule}" + (f"; likely cause: {cause}" if cause else "")

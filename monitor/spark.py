"""A line of small bars: how something went lately."""

from collections.abc import Iterable

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 8


def spark(figures: Iterable[float]) -> str:
    """The newest figures, the largest of them the highest.

    >>> spark([0, 1, 2, 4])
    '▁▂▄█'
    """
    newest = list(figures)[-_WIDTH:]
    most = max(newest, default=0) or 1
    return "".join(_BARS[int(figure / most * (len(_BARS) - 1))] for figure in newest)

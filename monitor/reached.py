"""Up to which moment everything is done: a stage's frontier in one partition, from looks at where the partition ends.

The age of that moment is the stage's lag in seconds. Nothing is interpolated and no message's timestamp is needed, so
an idle partition is fresh as long as somebody looks, and that of a process that died grows old.
"""

from collections import deque

_MOST_LOOKS = 600  # ten minutes at one a second; beyond, every other one is forgotten, and moments get coarser


class Reached:
    """One partition.

    >>> reached = Reached()
    >>> reached.look(1000, position=5, end=5), reached.look(2000, position=5, end=9), reached.look(3000, 9, 12)
    (1000, 1000, 2000)
    """

    def __init__(self) -> None:
        self.until_ms = 0  # nothing is known yet
        self._looks: deque[tuple[int, int]] = deque()  # when the end was asked for, and where it was: not passed yet
        self._apart_ms = 0  # looks that are kept lie so far apart at least
        self._asked_ms = 0  # at the last look

    def look(self, asked_ms: int, position: int, end: int) -> int:
        """Everything before `position` is done, and from `asked_ms` on the partition was seen to end at `end`.

        `position` has to be read before `end`. Returns the moment up to which all is done.
        """
        self._keep_to(asked_ms)
        if self._looks and end < self._looks[-1][1]:
            self._looks.clear()  # the topic was made anew: the looks were at another
        while self._looks and self._looks[0][1] <= position:
            self.until_ms = max(self.until_ms, self._looks.popleft()[0])
        if end <= position:
            self.until_ms, self._apart_ms = max(self.until_ms, asked_ms), 0
        elif not self._looks or asked_ms - self._looks[-1][0] >= self._apart_ms:
            self._keep(asked_ms, end)
        return self.until_ms

    def _keep_to(self, asked_ms: int) -> None:
        """Tell all moments by the clock of now: once it was set back they would lie ahead, and nothing would age."""
        back_ms = self._asked_ms - asked_ms
        self._asked_ms = asked_ms
        if back_ms > 0:
            self.until_ms = max(0, self.until_ms - back_ms)
            self._looks = deque((at_ms - back_ms, end) for at_ms, end in self._looks)

    def _keep(self, asked_ms: int, end: int) -> None:
        self._looks.append((asked_ms, end))
        if len(self._looks) > _MOST_LOOKS:
            self._apart_ms = 2 * (self._looks[-1][0] - self._looks[0][0]) // len(self._looks)
            self._looks = deque(list(self._looks)[::2])

"""How far event time has come, by what several users say and never by one.

The newest claims of the last `MEMBERS` users that spoke count, one for each user however often it speaks, and time has
come as far as `AGREE` of them say (the greater half, while there are fewer than `MANY`). So up to two clocks that are
ahead move nothing, however far, and clocks that are behind hold nothing up. A step of more than `FAR_MS` takes the
greater half: a few rows of some users that are dated years ahead empty no window. What many said once stays said: users
that tell late of what happened before don't turn time back.

Of one or two users there is no majority. They are believed when two of the last three things they said agree.
"""

from collections import deque
from typing import Self

import msgspec

from wire.arrays import I64, U64
from wire.moments import NO_EVENT, EventMs

MEMBERS = 16
AGREE = 3
MANY = 2 * AGREE - 1  # users, of whom `AGREE` are the greater half
FAR_MS = 86_400_000  # a day: nights are shorter, and windows and heads longer
LEAD_MS = 3_600_000  # an hour, as late as events may be: who is believed so far ahead is not late when its clock is set


User = int | str  # a key or an id: whatever tells users apart


class QuorumState(msgspec.Struct, frozen=True, array_like=True):
    """A quorum at rest."""

    votes: list[tuple[User, EventMs]] = []
    recent: list[EventMs] = []
    agreed: EventMs = NO_EVENT
    now: EventMs = NO_EVENT


class Quorum:
    """Claims in, event time out. `now` lags behind what is agreed by `slack_ms` at most, which saves work.

    >>> quorum = Quorum()
    >>> [quorum.claim(user, EventMs(ms)) for user, ms in ((1, 10), (2, 11), (3, 12), (4, 9_999), (1, 13), (2, 14))]
    [10, 10, 11, 11, 12, 13]
    """

    __slots__ = ("_agreed", "_recent", "_slack_ms", "_votes", "now")

    def __init__(self, slack_ms: int = 0) -> None:
        self.now = NO_EVENT
        self._slack_ms = slack_ms
        self._agreed = NO_EVENT
        self._votes: dict[User, EventMs] = {}  # by user, who spoke last at the end
        self._recent: deque[EventMs] = deque(maxlen=3)

    def claim(self, user: User, moment: EventMs) -> EventMs:
        """`user` says that time has come to `moment`; how far it has come."""
        votes = self._votes
        before = votes.pop(user, NO_EVENT)
        votes[user] = moment
        users = len(votes)
        if users > MEMBERS:
            del votes[next(iter(votes))]
        if users >= MANY:
            # Time moves only when one more of them is ahead of it.
            if before <= self.now + self._slack_ms < moment or self.now != self._agreed:
                self.now = self._agreed = max(self._agreed, agreed(list(votes.values()), self.now))
        elif users >= AGREE:
            self.now = max(self._agreed, agreed(list(votes.values())))
        else:
            self._recent.append(moment)
            self.now = max(self._agreed, sorted(self._recent)[(len(self._recent) - 1) // 2])
        return self.now

    def begin_again(self, user: User, moment: EventMs) -> None:
        """Only `user` still speaks, and is to be believed: what others said before no longer counts."""
        self._votes = {user: moment}
        self._recent.clear()
        self._recent.append(moment)
        self.now = max(self._agreed, moment)

    @property
    def majority(self) -> int:
        """How many of the users that count are the greater half."""
        return len(self._votes) // 2 + 1

    def state(self) -> QuorumState:
        """The quorum at rest."""
        return QuorumState(list(self._votes.items()), list(self._recent), self._agreed, self.now)

    @classmethod
    def restore(cls, state: QuorumState, slack_ms: int = 0) -> Self:
        """The quorum that was at rest in `state`."""
        quorum = cls(slack_ms)
        quorum._votes, quorum._agreed, quorum.now = dict(state.votes), state.agreed, state.now
        quorum._recent.extend(state.recent)
        return quorum


def agreed(claims: list[EventMs], now: EventMs = NO_EVENT) -> EventMs:
    """The moment that `AGREE` of these claims of different users (at least one) have reached, of fewer more than half;
    where that is more than `FAR_MS` after `now`, the one that more than half have reached.

    >>> agreed([EventMs(1), EventMs(2), EventMs(9)]), agreed([EventMs(n) for n in range(16)])
    (2, 13)
    >>> agreed([EventMs(n) for n in range(12)] + [EventMs(FAR_MS + 99)] * 4, EventMs(11))
    7
    """
    ordered, half = sorted(claims), len(claims) // 2 + 1
    some = ordered[-min(AGREE, half)]
    return some if now == NO_EVENT or some <= now + FAR_MS else ordered[-half]


def reached(user: U64, timestamp: I64) -> EventMs:
    """The moment that users of n samples (at least one) have reached between them: `agreed` on their newest ones."""
    newest: dict[int, EventMs] = {}
    for one, moment in zip(user.tolist(), timestamp.tolist(), strict=True):
        if moment > newest.get(one, NO_EVENT):
            newest[one] = moment
    last = sorted(newest.values())[-MEMBERS:]
    return agreed(last, last[-(len(last) // 2 + 1)])

"""The users of one pool shard: their states, who is waited for, who leaves, and what changed since they were saved.

All of a shard's users are one key of the dataflow, and not a key each (`operators.saved_states`).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from models.quorum import Quorum
from operators.decode import Arrival, Asked
from operators.renewals import Renewals
from operators.residents import Residents
from operators.saved_states import SavedStates
from operators.user import MatchRules, UserOutput, UserState
from wire.clock import Clock
from wire.identity import ModelId
from wire.moments import SteadyMs

AT_HAND = 100_000  # states of a shard that lie in memory too: 300 MB of 3 kB


class _Present:
    """A user at hand; `model` answered when its newest match was made, or it came."""

    __slots__ = ("model", "state")

    def __init__(self, state: UserState, model: ModelId) -> None:
        self.state = state
        self.model = model


class ShardUsers:
    """`UserState` for each user of a shard, as of `checkpoint` of `saved`; the `at_hand` who did something last are in
    memory.

    A user who stopped is waited for by the steady clock; the wall clock says only what to write on batches. Users of
    all shards of a worker say in `stream` how far event time is.
    """

    def __init__(
        self,
        saved: SavedStates,
        checkpoint: int | None,
        rules: MatchRules,
        *,
        clock: Clock,
        stream: Quorum,
        residents: Residents[str],
        renewals: Renewals,
        at_hand: int = AT_HAND,
    ) -> None:
        self._saved, self._rules, self._clock, self._at_hand = saved, rules, clock, at_hand
        self._stream, self._residents, self._renewals = stream, residents, renewals
        self._present: dict[str, _Present] = {}  # who did something last comes last
        self._waiting: dict[str, SteadyMs] = {}  # since when samples wait for a match; who waits longest comes first
        self._changed: dict[str, None] = {}  # since they were saved
        for user_id, raw in saved.resume(checkpoint):
            watermark, waits = UserState.glance(raw)
            residents.restored(user_id, watermark)
            if waits:
                self._waiting[user_id] = clock.steady_ms()

    def __len__(self) -> int:
        """How many users there are."""
        return len(self._residents)

    def states(self) -> Iterator[UserState]:
        """All states, to be read."""
        for user_id in self._residents:
            present = self._present.get(user_id)
            yield UserState.restore(self._saved.get(user_id)) if present is None else present.state

    @property
    def left_ms(self) -> int | None:
        """How long from now until somebody has waited long enough; None where nobody waits."""
        if not self._waiting:
            return None
        return next(iter(self._waiting.values())) + self._rules.freshness_budget_ms - self._clock.steady_ms()

    def handle(self, came: Iterable[Arrival | Asked]) -> UserOutput:
        """Take what came, in order, and let go of who has to leave; what came of all of them together."""
        by_user: dict[str, list[Arrival | Asked]] = {}
        for one in came:
            by_user.setdefault(one.user_id, []).append(one)
        outputs = [self._take(user_id, each) for user_id, each in by_user.items()]
        for user_id in self._residents.leaving(self._stream.now):
            self._present.pop(user_id, None)
            self._waiting.pop(user_id, None)
            self._changed[user_id] = None
        return UserOutput.of_all(outputs)

    def waited(self) -> list[UserOutput]:
        """What comes of the users who have waited long enough; a match may have come in between."""
        outputs = []
        while (left_ms := self.left_ms) is not None and left_ms <= 0:
            present = self._called(next(iter(self._waiting)))
            outputs.append(present.state.idle(self._clock.wall_ms(), self._stream.now))
            self._did(present, outputs[-1])
        return outputs

    def sync(self) -> int:
        """Save what changed; returns the checkpoint, which is the one before where nothing did."""
        if self._changed:
            there = ((user_id, self._present.get(user_id)) for user_id in self._changed)
            changes = {user_id: None if present is None else present.state.snapshot() for user_id, present in there}
            self._saved.save(changes, len(self))
            self._changed.clear()
            for user_id in list(islice(self._present, max(0, len(self._present) - self._at_hand))):
                del self._present[user_id]
        return self._saved.checkpoint

    def _take(self, user_id: str, came: Sequence[Arrival | Asked]) -> UserOutput:
        present = self._called(user_id)
        state, now_ms = present.state, self._clock.wall_ms()
        out = state.handle(came, self._rules, now_ms, self._stream.now)
        if out.samples:
            self._stream.claim(state.user, state.watermark)
            if not (out.queries or state.aside) and self._renewals.due(present.model):
                out.queries.append(state.renewed(out.samples[-1], now_ms))
        self._residents.active(user_id, self._stream.now)
        self._did(present, out)
        return out

    def _called(self, user_id: str) -> _Present:
        """A user from memory, from disk, or a new one; who does something next."""
        present = self._present.pop(user_id, None)
        if present is None:
            known = user_id in self._residents
            state = UserState.restore(self._saved.get(user_id)) if known else UserState(user_id)
            present = _Present(state, self._renewals.served())
        self._present[user_id] = present
        return present

    def _did(self, present: _Present, out: UserOutput) -> None:
        """Note that a state changed, and what was asked of the pool."""
        self._changed[present.state.user_id] = None
        if out.queries:
            present.model = self._renewals.served()
            self._waiting.pop(present.state.user_id, None)
        self._look(present.state)

    def _look(self, state: UserState) -> None:
        """See whether samples wait for a match, and if so, since when."""
        if not state.waits:
            self._waiting.pop(state.user_id, None)
        elif state.user_id not in self._waiting:
            self._waiting[state.user_id] = self._clock.steady_ms()

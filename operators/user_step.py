"""The per-user step of the dataflow: one `UserState` per user, who is waited for, leaves and comes back."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import bytewax.operators as op
from bytewax.operators import KeyedStream, StatefulBatchLogic

from models.quorum import Quorum
from monitor.metrics import Metrics
from operators.decode import Arrival, Asked
from operators.renewals import Renewals
from operators.residents import Leave, Meter, Residents, Stay
from operators.user import MatchRules, UserOutput, UserState
from wire.clock import Clock, after
from wire.identity import ModelId
from wire.moments import SteadyMs

SLACK_MS = 1_000  # that the time of a stream may lag: candidates for a request are as much older
# Bytewax wakes by the wall clock. When that steps back, who waits is looked at after the step and this, at the latest;
# more often would cost: 100,000 waiting users are 800 looks a second.
LOOK_AGAIN_MS = 120_000


class UserLogic(StatefulBatchLogic[Arrival | Asked | Leave, UserOutput, bytes]):
    """`UserState` in a dataflow; all users of a worker are its `residents` and say in `stream` how far event time is.

    A user who stopped is waited for by the steady clock; the wall clock says only what to write on batches. `state` is
    to be read by others, None before the user's first event.
    """

    def __init__(
        self,
        saved: bytes | None,
        rules: MatchRules,
        *,
        clock: Clock,
        stream: Quorum,
        residents: Residents,
        renewals: Renewals,
    ) -> None:
        self.state = None if saved is None else UserState.restore(saved)
        self._rules = rules
        self._clock = clock
        self._stream, self._residents, self._renewals = stream, residents, renewals
        self._model = renewals.served()  # when the newest match was made, or this was
        self._since_ms: SteadyMs | None = None  # when the first sample came that waits for a match
        self._look()
        if self.state is not None:
            residents.restored(self.state.user_id, self.state.watermark)

    def on_batch(self, values: list[Arrival | Asked | Leave]) -> tuple[list[UserOutput], bool]:
        """Take what came for one user, or let go of one who has not come back."""
        came = [value for value in values if not isinstance(value, Leave)]
        if not came:
            stays = self.state is not None and self.state.user_id in self._residents
            return [], self.RETAIN if stays else self.DISCARD
        if self.state is None:
            self.state = UserState(came[0].user_id)
        out = self.state.handle(came, self._rules, self._clock.wall_ms(), self._stream.now)
        if out.samples:
            self._stream.claim(self.state.user, self.state.watermark)
        if out.samples and not (out.queries or self.state.aside) and self._renewals.due(self._model):
            out.queries.append(self.state.renewed(out.samples[-1], self._clock.wall_ms()))
        self._residents.active(self.state.user_id, self._stream.now)
        self._matched(out)
        return [out], self.RETAIN

    def on_notify(self) -> tuple[list[UserOutput], bool]:
        """The freshness budget may have run out; a match may have come in between, or the wall clock gone ahead."""
        assert self.state is not None, "only a user with events is notified"
        if self._left_ms() > 0:
            return [], self.RETAIN
        out = self.state.idle(self._clock.wall_ms(), self._stream.now)
        self._matched(out)
        return [out] if out.queries or out.withheld else [], self.RETAIN

    def notify_at(self) -> datetime | None:
        """When the newest batch will be too old, if samples came after it; no later than `LOOK_AGAIN_MS` from now."""
        if self._since_ms is None:
            return None
        left_ms = self._left_ms()
        return after(self._clock, min(left_ms, LOOK_AGAIN_MS))

    def snapshot(self) -> bytes:
        """The state, saved."""
        assert self.state is not None, "a key without a value has no state"
        return self.state.snapshot()

    def _matched(self, out: UserOutput) -> None:
        """Note what is asked of the pool."""
        if out.queries:
            self._model = self._renewals.served()
        self._look(anew=bool(out.queries))

    def _look(self, *, anew: bool = False) -> None:
        """See whether samples wait for a match, and if so, since when."""
        if self.state is None or not self.state.waits:
            self._since_ms = None
        elif self._since_ms is None or anew:
            self._since_ms = self._clock.steady_ms()

    def _left_ms(self) -> int:
        """How long the newest batch stays fresh."""
        budget_ms = self._rules.freshness_budget_ms
        return budget_ms if self._since_ms is None else self._since_ms + budget_ms - self._clock.steady_ms()


def user_step(
    step_id: str,
    up: KeyedStream[Arrival | Asked],
    rules: MatchRules,
    *,
    clock: Clock,
    stay: Stay,
    served: Callable[[], ModelId],
    metrics: Metrics,
) -> KeyedStream[UserOutput]:
    """`UserState.handle` in a dataflow; users leave as `stay` says; `served` is the model that answers matches."""
    stream, residents = Quorum(SLACK_MS), Residents(stay, Meter.of_users(metrics))
    staying: KeyedStream[Arrival | Asked | Leave] = op.flat_map_batch(
        f"{step_id}_leaving", up, lambda came: residents.with_leaving(came, stream.now)
    )
    renewals = Renewals(served, clock)
    shared: dict[str, Any] = {"clock": clock, "stream": stream, "residents": residents, "renewals": renewals}
    return op.stateful_batch(step_id, staying, lambda saved: UserLogic(saved, rules, **shared))

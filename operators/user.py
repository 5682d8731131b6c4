"""What the dataflow knows of one user: dedupe, lateness, strictly-earlier features, and when a match is due.

Pure state, which `operators.shard_users` keeps and saves with every epoch. The per-event path
touches no array: features are slices of bytes (`models.features`), and arrays are made per block later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from struct import Struct

import msgspec

from models.features import Known
from models.history import History
from models.interaction_log import InteractionLog
from models.quorum import LEAD_MS
from operators.decode import Arrival, Asked
from operators.event_keys import EventKeys
from wire.dead_letter import DeadLetter
from wire.ids import user_key
from wire.moments import NO_EVENT, EventMs, WallMs
from wire.reason import Reason
from wire.sample import SampleRecord
from wire.telemetry import ASIDE, BACK

NEVER = WallMs(-1)


@dataclass(frozen=True, slots=True)
class MatchRules:
    """When a user is due for a match.

    After `match_every` new samples; when the newest batch is older than `freshness_budget_ms` (in event time as
    events come, by a steady clock when they stop coming); or when the device asks. While the device stands aside,
    matches that are due are withheld, and the next one is due as if they had been made. Events more than `lateness_ms`
    of event time behind the newest of their user are late: they become no samples, but what was taken in them is known
    from then on. What a new cloud model makes due, is for `operators.renewals` to say.
    """

    match_every: int = 20
    freshness_budget_ms: int = 600_000
    lateness_ms: int = 3_600_000

    @property
    def lead_ms(self) -> int:
        """How far ahead of others an event is believed: not so far that its user's next ones could be late."""
        return min(self.lateness_ms, LEAD_MS)


class Query(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One match to be answered by every shard.

    `seq` becomes the batch_seq; candidates must be strictly earlier than `before_ms` (event time);
    `produced_ms` is the wall clock of what made it due; histories as in `SampleRecord`.
    """

    user_id: str
    user: int
    seq: int
    before_ms: EventMs
    produced_ms: WallMs
    reason: str
    history_item: bytes
    history_category: bytes


class UserOutput(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What came of one batch of some users; samples that `waited` are of any (`operators.audience`), and so many
    matches were `withheld`."""

    samples: list[SampleRecord]
    queries: list[Query]
    late: list[DeadLetter]
    duplicates: int
    waited: list[SampleRecord] = []
    withheld: int = 0

    @classmethod
    def of_all(cls, outputs: Sequence["UserOutput"]) -> "UserOutput":
        """What came of several, in their order; nothing of theirs has waited."""
        return cls(
            [sample for each in outputs for sample in each.samples],
            [query for each in outputs for query in each.queries],
            [letter for each in outputs for letter in each.late],
            sum(each.duplicates for each in outputs),
            withheld=sum(each.withheld for each in outputs),
        )


class _AtRest(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `UserState` as it is saved, after `_GLANCE`: what `_PLAIN` names, and the rest as its classes give it."""

    plain: tuple[str, int, EventMs, int, WallMs, WallMs, bool, int]
    history: tuple[bytes, bytes, bytes]
    taken: tuple[int, bytes, bytes]
    seen: tuple[bytes, bytes, int]


_GLANCE = Struct("<q?")  # what is to be known of all users at once, before the rest
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_AtRest)
_PLAIN = ("user_id", "user", "matched_at", "pending", "active_since_ms", "asked_ms", "aside", "seq")
_plain = attrgetter(*_PLAIN)


class UserState:
    """One user: what is known of it, event keys seen within the allowed lateness, what the next match waits for.

    Deterministic in the order of the user's events, but for `seq`: it is the wall clock in ms where that is ahead
    of the last one, so that a device takes the batches of a dataflow that lost its state as newer than what it has.
    Numbers only count up: a clock that was a year ahead leaves a number to count on from, and nothing waits for it.
    Where that number was lost in a crash, the device says it when it asks.
    """

    __slots__ = ("known", "seen", *_PLAIN)

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.user = user_key(user_id)
        self.known = Known()
        self.seen = EventKeys()
        self.matched_at = NO_EVENT  # the newest match
        self.pending = 0  # samples since
        self.active_since_ms = NEVER  # wall clock of the first of them
        self.asked_ms = NEVER  # wall clock of a request that came before the user's first event
        self.aside = False  # the device wants no batch
        self.seq = 0

    def handle(
        self, batch: Sequence[Arrival | Asked], rules: MatchRules, now_ms: WallMs, stream_ms: EventMs = NO_EVENT
    ) -> UserOutput:
        """Take arrivals and requests in order; `now_ms` is the wall clock, `stream_ms` how far event time has come.

        What a device asks for may be as new as that: by its user's own newest event, who was away for a month would
        get candidates of a month ago, or none.
        """
        out = UserOutput([], [], [], 0)
        duplicates, withheld, known = 0, 0, self.known
        for value in batch:
            if isinstance(value, Asked):
                self._request(value, out, now_ms, stream_ms)
            elif value.timestamp < known.newest - rules.lateness_ms:
                out.late.append(self._late(value, rules))
                if value.label:
                    known.add(value.item, value.category, value.timestamp)
            elif value.sample in self.seen:
                duplicates += 1
            else:
                withheld += self._sample(value, out, rules, now_ms)
        if duplicates or withheld:
            return UserOutput(out.samples, out.queries, out.late, duplicates, withheld=withheld)
        return out

    @property
    def watermark(self) -> EventMs:
        """The newest event time of the user."""
        return self.known.newest

    @property
    def waits(self) -> bool:
        """Whether there are samples that no match has answered yet."""
        return self.active_since_ms != NEVER

    def idle(self, now_ms: WallMs, stream_ms: EventMs = NO_EVENT) -> UserOutput:
        """The match of a user whose stream stopped with samples that no match has answered yet."""
        if self.aside:
            withheld = int(self.waits)
            self._answered()
            return UserOutput([], [], [], 0, withheld=withheld)
        queries = [self._query_now("idle", self.active_since_ms, now_ms, stream_ms)] if self.waits else []
        return UserOutput([], queries, [], 0)

    def renewed(self, sample: SampleRecord, now_ms: WallMs) -> Query:
        """A match that the user's newest sample would not have made due, since what the last one found is outdated."""
        as_of = self.known.history.bytes_before(EventMs(sample.timestamp + 1))
        return self._query("model", EventMs(sample.timestamp), WallMs(sample.produced_ms), as_of, now_ms)

    def snapshot(self) -> bytes:
        """The state, saved.

        Of every user who did something an epoch waits for this: what is long lies there as bytes, which are copied.
        """
        known, seen = self.known, self.seen.state()
        history, taken = known.history.state(), known.interactions.state()
        rest = _AtRest(_plain(self), history, taken, seen)
        return _GLANCE.pack(known.newest, self.waits) + _encoder.encode(rest)

    @staticmethod
    def glance(raw: bytes) -> tuple[EventMs, bool]:
        """The newest event time of the user that `snapshot` saved, and whether it `waits`."""
        watermark, waits = _GLANCE.unpack_from(raw)
        return EventMs(watermark), waits

    @classmethod
    def restore(cls, raw: bytes) -> "UserState":
        """The state that `snapshot` gave."""
        rest, (watermark, _) = _decoder.decode(memoryview(raw)[_GLANCE.size :]), cls.glance(raw)
        state = cls.__new__(cls)
        for name, value in zip(_PLAIN, rest.plain, strict=True):
            setattr(state, name, value)
        state.seen = EventKeys.restore(*rest.seen)
        state.known = Known.restore(History.restore(*rest.history), InteractionLog.restore(*rest.taken), watermark)
        return state

    def _sample(self, a: Arrival, out: UserOutput, rules: MatchRules, now_ms: WallMs) -> bool:
        """Take a sample in; whether the match that it made due was withheld."""
        timestamp, seen = a.timestamp, self.seen
        seen[a.sample] = timestamp
        times, _, items, categories = self.known.take(a.item, a.category, a.label, timestamp)
        key = a.sample, self.user, a.item, a.category
        out.samples.append(SampleRecord(*key, a.label, times, timestamp, a.produced_ms, items, categories, a.base))
        if len(seen) >= seen.prune_at:
            seen.prune(self.watermark, rules.lateness_ms)
        if not self.pending:
            self.active_since_ms = now_ms
        self.pending += 1
        reason = self._due(timestamp, rules)
        if reason and self.aside:
            self._answered()
            return True
        if reason:
            produced_ms = self.asked_ms if reason == "request" else a.produced_ms
            # What the user just took is the best there is to match by; candidates are older than it all the same.
            as_of = self.known.history.bytes_before(timestamp + 1)
            out.queries.append(self._query(reason, timestamp, produced_ms, as_of, now_ms))
        return False

    def _due(self, timestamp: EventMs, rules: MatchRules) -> str:
        if self.asked_ms != NEVER:
            return "request"
        if self.pending >= rules.match_every:
            return "samples"
        stale = self.matched_at == NO_EVENT or timestamp - self.matched_at >= rules.freshness_budget_ms
        return "freshness" if stale else ""

    def _request(self, asked: Asked, out: UserOutput, now_ms: WallMs, stream_ms: EventMs) -> None:
        self.seq, self.aside = max(self.seq, asked.newest_seq), asked.reason == ASIDE
        if self.aside:
            self.asked_ms = NEVER
        elif asked.reason == BACK:
            return
        elif self.watermark == NO_EVENT:  # "before when" is not known yet: answered with the user's first event
            self.asked_ms = asked.produced_ms
        else:
            out.queries.append(self._query_now("request", asked.produced_ms, now_ms, stream_ms))

    def _query_now(self, reason: str, produced_ms: WallMs, now_ms: WallMs, stream_ms: EventMs) -> Query:
        """A query that no event triggers: as of just after the newest event that anybody is known to have had."""
        before_ms = EventMs(max(self.watermark, stream_ms) + 1)
        return self._query(reason, before_ms, produced_ms, self.known.history.bytes_before(before_ms), now_ms)

    def _query(
        self, reason: str, before_ms: EventMs, produced_ms: WallMs, history: tuple[bytes, bytes], now_ms: WallMs
    ) -> Query:
        self._answered()
        self.seq = max(self.seq + 1, now_ms)
        return Query(
            user_id=self.user_id,
            user=self.user,
            seq=self.seq,
            before_ms=before_ms,
            produced_ms=produced_ms,
            reason=reason,
            history_item=history[0],
            history_category=history[1],
        )

    def _answered(self) -> None:
        """No sample waits any more."""
        self.pending = 0
        self.active_since_ms = NEVER
        self.asked_ms = NEVER
        self.matched_at = max(self.matched_at, self.watermark)  # by the user's own time: others' clocks may be ahead

    def _late(self, a: Arrival, rules: MatchRules) -> DeadLetter:
        behind_ms = self.watermark - a.timestamp
        detail = f"{behind_ms} ms behind the newest event of its user, {rules.lateness_ms} ms are allowed"
        return a.refused(Reason.LATE, detail)

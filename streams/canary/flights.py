"""Canaries on their way, and what became of them (sans-I/O)."""

from monitor.metrics import Metrics
from wire.candidates import CandidateBatch
from wire.clock import Clock
from wire.moments import SteadyMs, WallMs
from wire.outcome import Batches
from wire.status import Frontier
from wire.telemetry import Ack, MatchRequest

LOST_MS = 60_000  # as long as the dataflow waits for all shards to answer


class Flights:
    """Those of one device, by number: when each was sent, or one more than the last where the clock was set back, since
    of batches that are numbered backwards none arrives."""

    def __init__(self, device: str, clock: Clock, metrics: Metrics) -> None:
        self.sent = self.arrived = self.lost = 0
        self._device, self._clock, self._metrics = device, clock, metrics
        self._boot_ms = clock.wall_ms()
        self._number = self._newest = 0  # of the newest that was sent, and of the newest that came back
        self._away: dict[int, tuple[SteadyMs, WallMs]] = {}  # number: when it was sent
        self._newest_ms = clock.steady_ms()  # when that was sent; of none that came back, ages are since it began
        self._count()

    def send(self) -> MatchRequest:
        """One more; a number is never given twice."""
        now_ms = self._clock.wall_ms()
        number = self._number = max(now_ms, self._number + 1)
        self._away[number] = self._clock.steady_ms(), now_ms
        self.sent += 1
        self._metrics.canaries_sent.inc()
        self._count()
        return MatchRequest(self._device, "canary", number - 1)

    def take(self, batch: CandidateBatch) -> Ack | None:
        """One came back: the device's answer, which counts nowhere and tells whoever follows that it arrived, and when.

        None for one that came twice, late, or of an earlier run.
        """
        sent = self._away.pop(batch.batch_seq, None)
        if sent is None:
            return None
        began_ms, sent_ms = sent
        self.arrived += 1
        if batch.batch_seq > self._newest:
            self._newest, self._newest_ms = batch.batch_seq, began_ms
        self._metrics.canaries_arrived.inc()
        self._metrics.freshness_s.labels("canary").observe(max(0, self._clock.steady_ms() - began_ms) / 1000)
        now_ms = self._clock.wall_ms()
        legs = {
            "up": batch.produced_ms - sent_ms,
            "match": batch.matched_ms - batch.produced_ms,
            "down": now_ms - batch.matched_ms,
        }
        for leg, ms in legs.items():
            self._metrics.canary_s.labels(leg).set(max(0, ms) / 1000)  # clocks of two machines differ
        self._count()
        return Ack(
            user_id=self._device,
            boot=self._boot_ms,
            sequence=self.arrived,
            answered_seq=self._newest,
            batches={Batches.ACCEPTED: self.arrived},
            batch_seq=batch.batch_seq,
            model=batch.model,
            outcome=Batches.ACCEPTED,
            received_ms=now_ms,
        )

    def give_up(self) -> None:
        """Those that have been away too long are lost."""
        since_ms = self._clock.steady_ms() - LOST_MS
        for number in [number for number, (began_ms, _) in self._away.items() if began_ms <= since_ms]:
            del self._away[number]
            self.lost += 1
            self._metrics.canaries_lost.inc()
        self._count()

    @property
    def in_flight(self) -> int:
        """How many are on their way."""
        return len(self._away)

    @property
    def frontier(self) -> Frontier:
        """Up to which moment what was sent is back."""
        until_ms = self._until_ms if self.arrived else 0
        return Frontier("canary", -1, self.arrived, self.arrived + self.in_flight, until_ms)

    @property
    def _until_ms(self) -> int:
        """When the newest that came back was sent, by the wall clock of now: of one that was set back since, its number
        lies ahead, and would not age."""
        return max(0, self._clock.wall_ms() - (self._clock.steady_ms() - self._newest_ms))

    def _count(self) -> None:
        self._metrics.canaries_in_flight.set(self.in_flight)
        self._metrics.canary_frontier_s.set(self._until_ms / 1000)

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.tunnel.ledger import Ledger, Push, Tally, account


@dataclass
class ListLedger:
    """The oracle: a list of pushes, searched from the end."""

    entries: list[dict[str, object]] = field(default_factory=list)

    def _open(self, device: str) -> list[dict[str, object]]:
        return [e for e in self.entries if e["device"] == device and e["outcome"] == "outstanding"]

    def pushed(self, device: str, seq: int, expires_ms: int) -> None:
        for entry in self._open(device):
            entry["outcome"] = "superseded"
        self.entries.append({"device": device, "seq": seq, "expires": expires_ms, "outcome": "outstanding"})

    def acked(self, device: str, seq: int) -> None:
        for entry in self._open(device):
            if entry["seq"] == seq:
                entry["outcome"] = "acknowledged"
            elif int(str(entry["seq"])) < seq:
                entry["outcome"] = "superseded"

    def tick(self, now_ms: int) -> None:
        for entry in self.entries:
            if entry["outcome"] == "outstanding" and int(str(entry["expires"])) <= now_ms:
                entry["outcome"] = "expired"

    def counts(self) -> dict[str, int]:
        outcomes = [e["outcome"] for e in self.entries]
        kinds = ("acknowledged", "superseded", "expired", "outstanding")
        return {"pushes": len(outcomes), **{kind: outcomes.count(kind) for kind in kinds}}


_devices = st.sampled_from(["ann", "bob"])
_small = st.integers(0, 20)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("pushed"), _devices, _small, _small),
        st.tuples(st.just("acked"), _devices, _small),
        st.tuples(st.just("tick"), _small),
    ),
    max_size=60,
)


@given(_steps)
def test_counts_are_those_of_a_plain_list(steps: list[tuple[object, ...]]) -> None:
    ledger, oracle = Ledger(), ListLedger()
    for name, *arguments in steps:
        getattr(ledger, str(name))(*arguments)
        getattr(oracle, str(name))(*arguments)
        assert ledger.tally().as_dict() == oracle.counts()
        assert ledger.tally().balanced


@given(_steps)
def test_nothing_is_outstanding_after_close(steps: list[tuple[object, ...]]) -> None:
    ledger = Ledger()
    for name, *arguments in steps:
        getattr(ledger, str(name))(*arguments)
    ledger.close()
    assert ledger.tally().outstanding == 0
    assert ledger.tally().balanced


def test_an_answer_counts_once() -> None:
    ledger = Ledger()
    ledger.pushed("ann", 1, 100)
    assert ledger.acked("ann", 1)
    assert not ledger.acked("ann", 1)
    assert ledger.tally().acknowledged == 1


def test_a_late_answer_does_not_change_the_outcome_and_leaves_the_newer_push_open() -> None:
    ledger = Ledger()
    ledger.pushed("ann", 1, 100)
    ledger.pushed("ann", 2, 100)
    assert not ledger.acked("ann", 1)
    assert ledger.awaits("ann") == 2
    assert ledger.tally().superseded == 1


def test_tick_names_the_devices_whose_budget_is_over() -> None:
    ledger = Ledger()
    ledger.pushed("ann", 1, 100)
    ledger.pushed("bob", 1, 200)
    assert ledger.tick(99) == []
    assert ledger.tick(100) == ["ann"]
    assert ledger.awaits("ann") is None


_pushes = st.lists(st.builds(Push, _devices, _small, _small), max_size=20)
_acks = st.lists(st.tuples(_devices, _small), max_size=20)


@given(_pushes, _acks, _small)
def test_totals_from_kafka_balance_and_ignore_repeats(
    pushes: list[Push], acks: list[tuple[str, int]], now_ms: int
) -> None:
    tally = account(pushes, acks, now_ms)
    assert tally.balanced
    assert tally.pushes == len({(p.device, p.seq) for p in pushes})
    assert account(pushes + pushes, acks + acks, now_ms) == tally


_handed = st.tuples(_devices, _small, st.booleans())


@given(st.lists(_handed, max_size=30, unique_by=lambda each: each[:2]))
def test_totals_agree_with_the_live_ledger_when_answers_are_prompt(history: list[tuple[str, int, bool]]) -> None:
    ledger, pushes, acks = Ledger(), [], []
    newest: dict[str, int] = {}
    for device, seq, there in history:
        ledger.pushed(device, seq, 100)
        pushes.append(Push(device, seq, 100))
        if there and seq > newest.get(device, -1):  # it is silent about a lower number than it has
            newest[device] = seq
            acks.append((device, seq))
        ledger.acked(device, newest.get(device, -1))  # every report says so
    assert account(pushes, acks, 99) == ledger.tally()
    ledger.tick(100)
    assert account(pushes, acks, 100) == ledger.tally()


def test_a_batch_of_a_clock_that_was_ahead_is_superseded_by_the_next_one() -> None:
    ahead, after = Push("ann", 7_200_000, 7_260_000), Push("ann", 1000, 61_000)
    assert account([ahead, after], [("ann", 1000)], 2000).superseded == 1
    assert account([ahead, after], [("ann", 7_200_000)], 2000).superseded == 1
    assert account([ahead, after], [], 2000) == Tally(2, acknowledged=0, superseded=1, expired=0, outstanding=1)
    assert account([ahead, after], [], 61_000).outstanding == 0

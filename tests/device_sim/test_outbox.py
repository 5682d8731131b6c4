from hypothesis import example, given
from hypothesis import strategies as st

from device_sim.outbox import MOST_BYTES, PROBE_MS, RETRY_MS, Outbox


def trusted() -> Outbox:
    """One that had a receipt over the link it has."""
    outbox = Outbox()
    outbox.add("0", b"before")
    outbox.due(0)
    outbox.confirm("0")
    return outbox


def test_an_event_stays_until_its_receipt() -> None:
    outbox = trusted()
    outbox.add("a", b"one")
    assert outbox.due(0) == [b"one"]
    outbox.add("b", b"three")
    assert outbox.confirm(["a", "never heard of"]) == 1
    assert (len(outbox), outbox.nbytes) == (1, 5)
    assert outbox.due(1) == [b"three"] and outbox.due(RETRY_MS) == []
    assert outbox.due(RETRY_MS + 1) == [b"three"]


def test_after_the_link_was_lost_the_oldest_event_goes_alone_until_its_receipt() -> None:
    outbox = trusted()
    for n in range(3):
        outbox.add(str(n), b"%d" % n)
    assert outbox.due(0) == [b"0", b"1", b"2"] and outbox.due(1) == []
    outbox.link_lost()
    assert outbox.due(1) == [b"0"]
    assert [ms for ms in range(2, 40_000) if outbox.due(ms)] == [1001, 3001, 7001, 15_001, 25_001, 35_001]
    outbox.confirm("0")
    assert outbox.due(40_000) == [b"1", b"2"]


def test_what_nobody_listened_to_goes_again_alone_and_in_time() -> None:
    outbox = trusted()
    for n in range(2):
        outbox.add(str(n), b"%d" % n)
    assert outbox.due(5) == [b"0", b"1"]
    outbox.unheard()
    assert outbox.due(6) == [b"0"]
    outbox.unheard()
    assert outbox.due(5 + PROBE_MS) == [] and outbox.due(6 + PROBE_MS) == [b"0"], "it is not tried in a circle"


def test_an_event_never_overtakes_an_older_one_that_may_be_lost() -> None:
    outbox = trusted()
    outbox.add("a", b"lost")
    assert outbox.due(0) == [b"lost"]
    outbox.add("b", b"waits")
    assert outbox.due(1) == outbox.due(RETRY_MS - 1) == []
    assert outbox.due(RETRY_MS) == [b"lost"]
    outbox.add("c", b"next")
    outbox.confirm("a")
    assert outbox.due(2 * RETRY_MS - 1) == [b"waits", b"next"]


@given(
    st.lists(st.integers(0, 20_000), min_size=1, max_size=30),
    st.integers(0, 20_000),
    st.integers(0, 20_000),
    st.integers(0, 300),
    st.booleans(),
)
@example(made_ms=[0, 5_000, 6_000], broken_ms=4_900, deaf_ms=1_000, receipt_ms=100, cut=False)
def test_events_come_in_order_whenever_the_broker_or_only_the_tunnel_starts_anew(
    made_ms: list[int], broken_ms: int, deaf_ms: int, receipt_ms: int, cut: bool
) -> None:
    """The broker takes events all the time; until the tunnel listens again nobody gets them, and none has a receipt."""
    outbox, arrived = Outbox(), list[bytes]()
    receipts: list[tuple[int, str]] = []
    made = sorted(made_ms)
    for now_ms in range(0, 80_000, 50):
        if cut and broken_ms <= now_ms < broken_ms + 50:
            outbox.link_lost()
        while made and made[0] <= now_ms:
            outbox.add(name := f"{len(made_ms) - len(made):02}", name.encode())
            made.pop(0)
        deaf = broken_ms <= now_ms < broken_ms + deaf_ms
        outbox.confirm([name for at_ms, name in receipts if at_ms <= now_ms and not deaf])
        sent = outbox.due(now_ms)
        if not deaf:
            arrived += sent
            receipts += [(now_ms + receipt_ms, raw.decode()) for raw in sent]
    assert list(dict.fromkeys(arrived)) == [b"%02d" % n for n in range(len(made_ms))] and not len(outbox)


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    outbox = trusted()
    outbox.add("a", b"one")
    outbox.due(10 * RETRY_MS)
    assert outbox.due(0) == [b"one"]


def test_a_rest_loses_nothing() -> None:
    outbox = Outbox()
    outbox.add("a", b"one")
    outbox.due(0)
    back = Outbox.restore(outbox.state())
    assert (back.due(0), back.nbytes) == ([b"one"], 3)


def test_a_receipt_may_name_an_event_twice() -> None:
    outbox = Outbox()
    outbox.add("a", b"...")
    assert outbox.confirm(["a", "a", "unknown"]) == 1
    assert (len(outbox), outbox.nbytes) == (0, 0)


def test_a_full_outbox_gives_up_its_oldest_events() -> None:
    outbox = Outbox()
    event = bytes(MOST_BYTES // 10)
    assert sum(outbox.add(f"e{n}", event) for n in range(25)) == 15
    assert outbox.nbytes <= MOST_BYTES and list(outbox.state()) == [f"e{n}" for n in range(15, 25)]
    assert outbox.add("huge", bytes(2 * MOST_BYTES)) == 10 and len(outbox) == 1, "it is tried at least"


def test_a_way_up_is_not_trusted_because_an_event_was_given_up() -> None:
    outbox = Outbox()
    event = bytes(MOST_BYTES // 2)
    outbox.add("a", event)
    assert len(outbox.due(0)) == 1
    assert outbox.add("b", event) + outbox.add("c", event) == 1
    assert len(outbox.due(1)) == 1, "one goes, to see that somebody listens"
    assert outbox.due(2) == []


def test_an_event_that_is_kept_already_takes_no_room_twice() -> None:
    outbox = Outbox()
    outbox.add("a", b"one")
    outbox.add("a", b"one")
    assert (len(outbox), outbox.nbytes) == (1, 3)

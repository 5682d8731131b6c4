from device_sim.outbox import MOST_BYTES, RECEIPT_MS, RETRY_MS, Outbox


def test_an_event_stays_until_its_receipt() -> None:
    outbox = Outbox()
    outbox.add("a", b"one")
    assert outbox.due(0) == [b"one"]
    outbox.add("b", b"three")
    assert outbox.due(1) == [b"three"]
    assert outbox.confirm(["a", "never heard of"]) == 1
    assert (len(outbox), outbox.nbytes) == (1, 5)
    assert outbox.due(RETRY_MS) == []
    assert outbox.due(RETRY_MS + 1) == [b"three"]


def test_after_the_link_was_lost_everything_is_due_in_order() -> None:
    outbox = Outbox()
    for n in range(3):
        outbox.add(str(n), b"%d" % n)
    assert outbox.due(0) == [b"0", b"1", b"2"] and outbox.due(1) == []
    outbox.link_lost()
    assert outbox.due(1) == [b"0", b"1", b"2"]


def test_an_event_never_overtakes_an_older_one_that_may_be_lost() -> None:
    outbox = Outbox()
    outbox.add("a", b"lost")
    assert outbox.due(0) == [b"lost"]
    outbox.add("b", b"at once")
    assert outbox.due(RECEIPT_MS - 1) == [b"at once"]
    outbox.add("c", b"waits")
    assert outbox.due(RECEIPT_MS) == outbox.due(RETRY_MS - 1) == []
    assert outbox.due(RETRY_MS) == [b"lost", b"at once", b"waits"]
    outbox.add("d", b"next")
    outbox.confirm("abc")
    assert outbox.due(2 * RETRY_MS - 1) == [b"next"]


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    outbox = Outbox()
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


def test_an_event_that_is_kept_already_takes_no_room_twice() -> None:
    outbox = Outbox()
    outbox.add("a", b"one")
    outbox.add("a", b"one")
    assert (len(outbox), outbox.nbytes) == (1, 3)

from itertools import permutations

from operators.audience import Audience
from wire.sample import SampleRecord

ITEM = 7


def sample(number: int, user: int, label: int = 1, item: int = ITEM) -> SampleRecord:
    return SampleRecord(number, user, item, 1, label, 0, 1000 + number, 0, b"", b"")


def admitted(samples: list[SampleRecord], min_users: int = 3) -> set[int]:
    audience = Audience(ITEM)
    return {each.sample for one in samples for each in audience.admit([one], min_users)}


def test_samples_wait_until_enough_users_took_their_item_and_then_all_go_on() -> None:
    audience = Audience(ITEM)
    alone = [sample(1, 1), sample(2, 1), sample(3, 2), sample(4, 3, label=0)]
    assert list(audience.admit(alone, 3)) == [], "two took it, however often; the third was only shown it"
    assert [each.sample for each in audience.admit([sample(5, 4)], 3)] == [1, 2, 3, 4, 5]
    assert [each.sample for each in audience.admit([sample(6, 9, label=0)], 3)] == [6], "from then on, everything"


def test_what_is_admitted_in_the_end_does_not_depend_on_the_order() -> None:
    samples = [sample(1, 1), sample(2, 2), sample(3, 3, label=0), sample(4, 3), sample(5, 3)]
    assert {frozenset(admitted(list(order))) for order in permutations(samples)} == {frozenset({1, 2, 3, 4, 5})}


def test_one_user_is_enough_where_that_is_asked() -> None:
    assert admitted([sample(1, 1)], min_users=1) == {1}


def test_a_restart_forgets_nothing() -> None:
    audience = Audience(ITEM)
    audience.admit([sample(1, 1), sample(2, 2)], 3)
    again = Audience.restore(audience.snapshot())
    assert {each.sample for each in again.admit([sample(3, 3)], 3)} == {1, 2, 3}
    assert {each.sample for each in Audience.restore(again.snapshot()).admit([sample(4, 1)], 3)} == {4}

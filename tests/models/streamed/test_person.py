from models.streamed.person import PAUSE_MS, Person


def test_rows_of_one_moment_never_see_each_other() -> None:
    person = Person()
    person.take(1, 9, 1, 1000)
    first, second = person.take(2, 9, 1, 5000), person.take(2, 9, 0, 5000)
    assert first == second
    assert (first.of_category, first.met_category, first.of_all, first.gap_s) == (1, 1, 1, 4)
    later = person.take(2, 9, 0, 6000)
    assert (later.times, later.since_s, later.of_category, later.met_category) == (1, 1, 2, 3)


def test_a_session_ends_with_a_pause() -> None:
    person = Person()
    times = [0, 60_000, 120_000, 120_000 + PAUSE_MS + 1]
    assert [person.take(1, 1, 0, at).in_session for at in times] == [0, 1, 2, 0]


def test_of_many_categories_those_met_longest_ago_are_forgotten() -> None:
    person = Person()
    for n in range(200):
        person.take(1, n, 1, 1000 * n)
    assert person.take(1, 0, 1, 300_000).met_category == 0
    assert person.take(1, 199, 1, 301_000).met_category == 1

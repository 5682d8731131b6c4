"""How far a piece of work is, in lines."""

from streams.work_view import Lines


def test_each_piece_of_work_is_said_with_the_time_left() -> None:
    said: list[str] = []
    now = [0.0]
    lines = Lines("a: ", said.append, lambda: now[0])
    for done in range(1, 101):
        now[0] = done
        lines("reading", done, 100)
    lines("training", 1, 2)
    now[0] += 60
    lines("training", 2, 2)
    assert said[0] == "a: reading: 10 %, about 1 min 21 s left"
    assert said[-2:] == ["a: reading: 100 %", "a: training: 100 %"], "what is over at once has one line"
    assert len(said) == 11

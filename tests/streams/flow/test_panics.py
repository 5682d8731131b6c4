from io import StringIO

from streams.flow.panics import Panics


def test_everything_is_passed_on_but_panics() -> None:
    said = StringIO()
    panics = Panics(said)
    for piece in (
        "before\nRuntimeError",
        ": ",
        "(src/run.rs:292:17) panicked at a.rs:55:48:\nMergeQueue",
        " poisoned.",
        "\n",
    ):
        panics.write(piece)
    panics.write("after\n")
    assert said.getvalue() == "before\nafter\n"

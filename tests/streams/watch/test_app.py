"""`coda watch` as a person uses it, by Textual's pilot on a terminal of 80×24."""

import re

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from streams.watch.app import WatchApp
from streams.watch.fold import Fold
from streams.watch.graph import graph
from streams.watch.picture import Picture
from streams.watch.views import PROCESSES, VIEWS, shown
from tests.streams.watch.statuses import frontier, pooled, status
from wire.errors import DeliveryError
from wire.status import Role


class Stage:
    """A system in which the tunnel hangs, and whose time a test moves by hand."""

    def __init__(self) -> None:
        self.fold, self.now_ms = Fold(), 0
        for second in range(1, 11):
            self.says(second)
        self.now_ms = 10_000

    def says(self, second: int) -> None:
        flow = status(
            at_s=second,
            values=pooled(second * 50)
            | {"coda_arm_gauc": {"arm=cloud": 0.7, "arm=coda": 0.71}, "coda_model_version": {"": 1}},
            frontiers=(frontier("pooled", second, second, second), frontier("pooled", 7, 7, second, partition=1)),
            warnings=("12:00:00 waiting for Kafka",),
        )
        tunnel = status(Role.TUNNEL, "t", at_s=second, frontiers=(frontier("tunnelled", 4, 9, 1),))
        for each in (flow, tunnel):
            self.fold.take(each, each.said_ms)

    def app(self) -> WatchApp:
        return WatchApp(lambda: self.fold.picture(self.now_ms), lambda: self.now_ms)


def text(app: WatchApp, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).visual)


def first_column(app: WatchApp) -> list[str]:
    table = app.query_one(DataTable)
    return [str(table.get_row_at(n)[0]) for n in range(table.row_count)]


async def test_the_overview_shows_the_graph_the_words_and_the_likely_cause() -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)):
        assert "overview · 2 of 2 processes up" in text(app, "title")
        assert first_column(app) == ["pooled", "tunnelled"]
        assert str(app.query_one(DataTable).get_row_at(1)[1]) == "STALLED"
        assert "tunnelled is STALLED" in text(app, "cause")
        assert "tunnelled STALLED" in text(app, "graph") and "1/s lag" in text(app, "graph")


async def test_where_events_are_scored_first_the_graph_says_so_in_80_columns() -> None:
    stage = Stage()
    assert "scored" not in str(graph(stage.fold.picture(10_000)))
    scorer = status(Role.SCORER, at_s=10, frontiers=(frontier("scored", 9, 9, 9),))
    stage.fold.take(scorer, scorer.said_ms)
    app = stage.app()
    async with app.run_test(size=(80, 24)):
        lines = text(app, "graph").splitlines()
        assert app.query_one("#graph").size.height == len(lines) and max(map(len, lines)) <= 80
    before, first, *_ = lines
    assert before.startswith("produced") and before.endswith("─▶")
    assert re.match(r"scored \w+ +─▶ pooled \w+ +─▶ matched .* ─▶ tunnelled STALLED", first)


async def test_a_look_that_comes_while_it_ends_finds_no_widgets_and_needs_none() -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)):
        pass
    app.look()


async def go(pilot: Pilot[None], name: str) -> None:
    await pilot.press("colon", *name, "enter")
    await pilot.pause()


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("partitions", ["pooled", "pooled", "tunnelled"]),
        ("proc", ["flow/0", "tunnel/t"]),
        ("pool", ["all"]),
        ("arms", ["coda", "cloud"]),
        ("faults", ["flow/0"]),
        ("devices", []),
    ],
)
async def test_a_view_is_gone_to_by_its_name_and_left_by_escape(name: str, rows: list[str]) -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await go(pilot, name)
        assert first_column(app) == rows
        await pilot.press("escape")
        assert first_column(app) == ["pooled", "tunnelled"]


async def test_a_view_that_there_is_not_is_told_with_those_that_there_are() -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await go(pilot, "nonsense")
        assert "no view 'nonsense'; there are overview, partitions" in text(app, "foot")


async def test_a_filter_works_while_it_is_typed_and_escape_takes_it_back() -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"tunn")
        await pilot.pause()
        assert first_column(app) == ["tunnelled"]
        await pilot.press("enter")
        assert first_column(app) == ["tunnelled"] and "'tunn'" in text(app, "foot")
        await pilot.press("escape")
        assert first_column(app) == ["pooled", "tunnelled"]


async def test_only_what_is_not_well_and_sorted() -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("u")
        assert first_column(app) == ["tunnelled"]
        await pilot.press("u", "s")
        assert first_column(app) == ["tunnelled", "pooled"] and "sorted by stage" in text(app, "foot")
        await pilot.press("question_mark")
        assert app.query_one("#help").has_class("open")
        await pilot.press("escape")
        assert not app.query_one("#help").has_class("open")


def test_shares_and_spans_are_sorted_by_size() -> None:
    uses = {"use=few,le=60.0": 95, "use=few,le=+Inf": 100, "use=most,le=60.0": 60, "use=most,le=+Inf": 100}
    fold = Fold()
    for name, at_s in (("old", 20), ("older", 40), ("young", 80)):
        said = status(name=name, at_s=100, boot=at_s * 1000, values={"coda_use_age_seconds_bucket": uses})
        fold.take(said, said.said_ms)
    picture = fold.picture(100_000)
    views = {view.name: view for view in VIEWS}
    assert [row.cells[0] for row in shown(views["use"], picture, by=2)] == ["most", "few"]
    up_for = [row.cells[2] for row in shown(PROCESSES, picture, by=2)]
    assert up_for == ["1 min 20 s", "1 min 0 s", "20 s"]


async def test_whoever_chose_a_row_that_is_gone_by_now_is_told_of_none() -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down")
        assert text(app, "more").startswith("tunnelled STALLED")
        app.query_one(DataTable).move_cursor(row=0)
        app.query_one(DataTable).move_cursor(row=1)
        app.action_go("devices")
        await pilot.pause()
        assert first_column(app) == [] and text(app, "more") == ""


async def test_each_second_it_is_shown_anew_and_a_process_that_died_is_down() -> None:
    stage = Stage()
    app = stage.app()
    async with app.run_test(size=(80, 24)):
        stage.now_ms = 22_000
        app.look()
        assert "0 of 2 processes up" in text(app, "title")
        assert str(app.query_one(DataTable).get_row_at(0)[1]) == "DOWN"
        assert "silent since 12 s" in text(app, "cause")


async def test_a_picture_that_does_not_come_any_more_is_told_to_be_old() -> None:
    stage = Stage()
    picture = stage.fold.picture(10_000)
    app = WatchApp(lambda: picture, lambda: stage.now_ms)
    async with app.run_test(size=(80, 24)):
        stage.now_ms = 22_000
        app.look()
        assert "no data for 12 s" in text(app, "title")


async def test_a_kafka_that_gives_no_more_ends_it_and_is_told_when_the_terminal_is_back() -> None:
    stage, refused = Stage(), DeliveryError("Kafka does not let coda-watch read")
    pictures = [stage.fold.picture(10_000)]

    def take() -> Picture:
        if not pictures:
            raise refused
        return pictures.pop()

    app = WatchApp(take, lambda: stage.now_ms)
    async with app.run_test(size=(80, 24)):
        app.look()
    assert app.failed is refused and app.return_code == 0


@pytest.mark.parametrize("keys", [["q"], ["ctrl+c"], ["colon", "q", "enter"], ["slash", "x", "ctrl+c"]])
async def test_it_ends(keys: list[str]) -> None:
    app = Stage().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert not app.is_running or app._exit


async def test_a_terminal_that_is_too_small_is_told_what_to_do() -> None:
    app = Stage().app()
    async with app.run_test(size=(60, 20)):
        assert text(app, "foot") == "this terminal has 60×20: make it 80×24, or use --once"


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
async def test_without_colours_every_word_still_stands_there(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, {"NO_COLOR": "1", "TERM": "xterm"}[variable])
    app = Stage().app()
    async with app.run_test(size=(80, 24)):
        assert "STALLED" in app.export_screenshot(simplify=True)

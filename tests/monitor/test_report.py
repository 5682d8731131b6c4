"""The report: one page that stands alone and says what there is to say."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from monitor.accounting import accounting
from monitor.arms import ArmResult, ArmsOverTime
from monitor.report import report, section, table
from monitor.state import Freshness, State
from tests.streams.dashboard.browser import CHROMIUM, browser

STATES = [
    State(
        elapsed_s=float(second),
        phase="history" if second < 10 else "live stream",
        produced=second * 100,
        pooled=second * 99,
        rejected={"late": second},
        freshness={"pooled": Freshness(100, 0.02, 0.1, 0.25)} if second > 2 else {},
        behind={"pooled": second},
        own_lag_s={"pooled": 0.5},
        pushes=second,
        push_outcomes={"acknowledged": second},
        trainings={"accepted": second},
    )
    for second in range(30)
]
ARMS = {
    "cloud": ArmResult(auc=0.7, gauc=0.65, log_loss=0.6),
    "coda": ArmResult(
        auc=0.71,
        gauc=0.66,
        log_loss=0.59,
        gauc_gain=0.01,
        gauc_gain_low=0.004,
        gauc_gain_high=0.016,
        harmed_share=0.12,
    ),
}
CURVES = ArmsOverTime(
    predicted=[10, 20], auc={"cloud": [0.7, 0.7], "coda": [0.7, 0.71]}, gauc={"cloud": [0.6, 0.65], "coda": [0.6, 0.66]}
)


@cache
def whole_page() -> str:
    return page()


def page(**changes: Any) -> str:
    given: dict[str, Any] = {
        "title": "a run <of> ours",
        "states": STATES,
        "accounts": accounting(STATES[-1]),
        "problems": [],
        "freshness": STATES[-1].freshness,
        "arms": ARMS,
        "arms_over_time": CURVES,
        "configuration": {"seed": 7},
    }
    return report(**{**given, **changes})


class Tags(HTMLParser):
    """Checks that every tag is closed, and collects what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v for k, v in attrs if k in {"src", "href", "xlink:href"} and v and not v.startswith("#")]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_needs_nothing_beside_it() -> None:
    tags = Tags()
    tags.feed(whole_page())
    assert tags.open == []
    assert tags.fetched == []
    assert not re.search(r"url\((?!#)", whole_page())


def test_the_page_says_what_came_of_the_run() -> None:
    text = whole_page()
    for words in (
        "everything adds up",
        "a run &lt;of&gt; ours",
        "+0.0100",
        "+0.0040, +0.0160",
        "12%",
        "late",
        "250\u00a0ms",
    ):
        assert words in text
    assert "&quot;seed&quot;: 7" in text
    assert text.count("<svg ") == 1


def test_the_dashboard_of_the_run_is_a_page_within_the_page() -> None:
    text = page(frozen='<p class="x">as it was</p>')
    assert 'srcdoc="&lt;p class=&quot;x&quot;&gt;as it was&lt;/p&gt;"' in text


def test_the_arm_that_devices_add_to_has_the_name_of_what_it_is() -> None:
    arms = {"boosted": ARMS["cloud"], "coda": ARMS["coda"]}
    text = page(arms=arms, cloud="boosted", meaning="boosted trees on streamed features", frozen="<p>as it was</p>")
    for words in (
        "add to boosted: boosted trees",
        "coda&#x27;s GAUC − boosted",
        "GAUC − boosted",
    ):
        assert words in text
    assert "<!-- boosted -->" in text and "<!-- cloud -->" not in text, "and in the plot"
    assert "add to cloud: the cloud model." in whole_page()


def test_what_does_not_add_up_stands_at_the_top() -> None:
    text = page(problems=["events: 3 produced, but 2 pooled"])
    assert "everything adds up" not in text
    assert text.index("events: 3 produced, but 2 pooled") < text.index("<section>")


@pytest.mark.parametrize(
    "changes",
    [{"arms": {}, "arms_over_time": None}, {"states": STATES[:1], "freshness": {}}, {"states": [State()]}],
    ids=["nothing predicted", "one look", "nothing at all"],
)
def test_a_run_that_ended_early_has_a_page_too(changes: dict[str, Any]) -> None:
    assert "</html>" in page(**changes)


def test_the_same_run_gives_the_same_page() -> None:
    assert page() == whole_page()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
def test_a_phone_needs_no_scrolling_sideways_for_a_long_path(tmp_path: Path) -> None:
    where = "/home/somebody/" + "a-long-folder-name/" * 6 + "log.parquet"
    section = f"<section><ul><li>{where}: as documented</li></ul><p>{where}</p></section>"
    (tmp_path / "report.html").write_text(page(title=where, sections=[section]))
    with browser(tmp_path / "profile") as shown:
        shown.open(f"file://{tmp_path / 'report.html'}", width=390, height=844)
        shown.wait("document.readyState === 'complete' && !!document.querySelector('li')")
        assert shown.ask("document.documentElement.scrollWidth") <= 390


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_no_number_stands_on_another_line_than_its_unit(tmp_path: Path, width: int) -> None:
    ages = table(
        ("time until it is stable", *"pqrst"), [("an event is in the pool", *["130 ms"] * 3, "> 30 d", "95 %")]
    )
    words = section("It took a while", " ".join(f"after {n} ms or {n} min" for n in range(100)), ages)
    (tmp_path / "report.html").write_text(page(sections=[words]))
    with browser(tmp_path / "profile") as shown:
        shown.open(f"file://{tmp_path / 'report.html'}", width=width, height=844)
        shown.wait("document.readyState === 'complete' && !!document.querySelector('td')")
        assert shown.broken_figures() == []

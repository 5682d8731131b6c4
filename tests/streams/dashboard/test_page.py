"""The page in a real browser: its numbers are those of the topic, a killed flow is DOWN, a reload loses nothing."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from device_sim.taste import Taste
from streams.fleet.taste_file import FILE
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import KafkaSettings
from streams.kafka.embedded import EmbeddedKafka
from streams.kafka.topics import STATUS
from tests.streams.dashboard.browser import CHROMIUM, Page, browser
from tests.streams.dashboard.world import Dashboard, Speaker, dashboard
from tests.streams.watch.statuses import frontier, status
from wire.status import Role, encode_status

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
NODE = "document.querySelector('[data-stage=pooled]').innerText"
THERE = "!!document.querySelector('[data-stage=pooled]')"
MOMENTS = "Number(document.body.dataset.moments)"


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    with EmbeddedKafka() as server:
        yield server.bootstrap


@pytest.fixture(scope="module")
def served(kafka: str) -> Iterator[Dashboard]:
    Speaker(kafka, devices=10_000).kill()
    with dashboard(kafka) as shown:
        yield shown


@pytest.fixture(scope="module")
def beside_a_fleet(kafka: str, served: Dashboard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One that reads what a fleet on this machine wrote of one of its devices."""
    folder = tmp_path_factory.mktemp("fleet")
    taste = Taste(2, 120, [], [("dairy", 0.7), ("meat", -0.7)], [("milk", "dairy", 9)])
    (folder / FILE).write_bytes(msgspec.json.encode({"user-7": taste}))
    with dashboard(kafka, "--fleet", str(folder)) as shown:
        yield shown


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def address(served: Dashboard, path: str = "/") -> str:
    return f"http://127.0.0.1:{served.port}{path}"


def test_a_flow_that_is_killed_is_down_within_five_seconds_and_its_age_grows(
    served: Dashboard, kafka: str, page: Page
) -> None:
    speaker = Speaker(kafka)
    page.open(address(served))
    page.wait(f"{NODE}.includes('FRESH')")
    assert "3 behind" in page.ask(NODE)
    assert re.search(r"1 of 1 processes up · as of \d\d:\d\d:\d\d", page.text())
    before = page.ask(MOMENTS)
    page.ask("location.reload()")
    page.wait(f"{MOMENTS} > {before}")
    speaker.kill()
    killed_s = time.monotonic()
    page.wait(f"{NODE}.includes('DOWN')", within_s=7)
    assert time.monotonic() - killed_s < 6.5, "five seconds, and one that the last word was young"
    assert "flow/0: silent since" in page.text()
    first = age_s(page.ask(NODE))
    time.sleep(2)
    assert age_s(page.ask(NODE)) > first + 1


def test_a_scorer_is_on_the_way_where_there_is_one(served: Dashboard, kafka: str, page: Page) -> None:
    stages = "[...document.querySelectorAll('.flow')][0].innerText"
    page.open(address(served))
    assert "scored" not in page.wait(f"{stages}.includes('pooled') && {stages}")
    scorer = status(Role.SCORER, at_s=time.time(), frontiers=(frontier("scored", 5, 5, time.time()),))
    producer = KafkaBus(KafkaSettings(kafka)).producer()
    producer.send(STATUS, scorer.key, encode_status(scorer))
    producer.flush(10)
    page.wait(f"/produced[^]*scored[^]*pooled/.test({stages})")


def test_each_of_ten_thousand_devices_is_a_cell_and_has_a_page(served: Dashboard, page: Page) -> None:
    page.open(address(served, "/panel/fleet"))
    page.wait("document.querySelector('.legend')?.innerText.includes('9,000 connected')")
    assert "1,000 offline" in page.text() and page.ask("document.querySelectorAll('section').length") == 1
    painted_ms = page.ask(
        "(() => { const t = performance.now(), fleet = PANELS.find((p) => p.name === 'fleet');"
        " for (let i = 0; i < 10; i++) drawFleet(fleet); return (performance.now() - t) / 10; })()"
    )
    assert painted_ms < 50, "cells that did not change are not painted again"
    resident_kb = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{served.pid}/status").read_text())
    assert int(resident_kb[0]) < 150_000
    page.ask("showDevice('user-7')")
    page.wait("document.getElementById('device').open")
    assert "online since" in page.text() and "nothing personal ever goes up to the cloud" in page.text()


def test_beside_a_fleet_a_device_has_learned_something_in_words(beside_a_fleet: Dashboard, page: Page) -> None:
    page.open(address(beside_a_fleet, "/panel/fleet"))
    page.wait("document.querySelector('.legend')?.innerText.includes('9,000 connected')")
    page.ask("showDevice('user-7')")
    page.wait("document.getElementById('device').open")
    for words in (
        "comes back to milk (dairy; taken 9 times)",
        "likes dairy (odds × 2.0)",
        "cares for meat (odds ÷ 2.0)",
    ):
        assert words in page.text()
    page.ask("showDevice('user-8')")
    page.wait("document.getElementById('about').innerText.includes('before it has trained')")


def test_a_phone_needs_no_scrolling_sideways(served: Dashboard, page: Page) -> None:
    page.open(address(served), width=390, height=844)
    page.wait(THERE)
    assert page.ask("document.documentElement.scrollWidth") <= 390
    assert page.broken_figures() == []


def test_pages_that_were_left_hold_up_none_that_is_opened(served: Dashboard, page: Page) -> None:
    """A browser has six connections to a server, and keeps pages to go back to."""
    for _ in range(8):
        page.open("about:blank")
        page.wait("location.href === 'about:blank'")
        page.open(address(served, "/panel/flow"))
        page.wait(THERE, within_s=5)
    page.ask("void setTimeout(() => history.go(-2))")
    time.sleep(1)
    page.wait(THERE, within_s=5)
    before = page.ask(MOMENTS)
    page.wait(f"{MOMENTS} > {before}", within_s=5)


def test_keys_change_theme_and_open_help(served: Dashboard, page: Page) -> None:
    page.open(address(served))
    page.wait(THERE)
    theme = page.ask("document.documentElement.dataset.theme")
    page.press("t")
    assert {theme, page.ask("document.documentElement.dataset.theme")} == {"light", "dark"}
    page.press("?")
    assert page.ask("document.getElementById('help').open")


def test_a_server_that_is_gone_is_greyed_and_says_for_how_long(kafka: str, page: Page) -> None:
    speaker = Speaker(kafka)
    with dashboard(kafka) as shown:
        page.open(address(shown))
        page.wait(THERE)
    speaker.kill()
    page.wait("document.querySelectorAll('.panel.old').length > 5", within_s=15)
    assert re.search(r"no data for \d", page.text())


def age_s(words: str) -> float:
    """The age that a stage shows."""
    found = re.search(r"age (?:(\d+)\smin )?([\d.]+)\ss", words)
    assert found, words
    return 60 * float(found[1] or 0) + float(found[2])

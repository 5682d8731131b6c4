"""A run that was recorded plays back in a browser as it does on a terminal: stopped, stepped, moment by moment."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.cli import run
from streams.watch.recording import FILE, Recorder
from tests.streams.dashboard.browser import CHROMIUM, Page, browser
from tests.streams.dashboard.test_past_devices import leave
from tests.streams.dashboard.world import Dashboard, serving
from tests.streams.watch.statuses import frontier, pooled, status
from wire.status import Role, encode_status

SECONDS, SILENT_FROM = 20, 10
NODE = "document.querySelector('[data-stage=pooled]').innerText"
PLACE = "document.getElementById('place').textContent.replaceAll('\\u00a0', ' ')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose flow says nothing from its tenth second on, while a tunnel goes on."""
    made = tmp_path_factory.mktemp("runs") / "friday"
    with Recorder(made) as recorder:
        for s in range(1, SECONDS + 1):
            flow = status(at_s=s, values=pooled(10 * s), frontiers=(frontier("pooled", 10 * s, 10 * s + 3, s),))
            tunnel = status(Role.TUNNEL, "tunnel", at_s=s)
            for said in [flow] * (s < SILENT_FROM) + [tunnel]:
                recorder.take(encode_status(said), s * 1000)
    return made


@pytest.fixture(scope="module")
def with_devices(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Dashboard]:
    """The same, and the fleet's records lie beside it."""
    copied = leave(tmp_path_factory.mktemp("runs") / "saturday")
    shutil.copy(folder / FILE, copied / FILE)
    with serving(str(copied)) as shown:
        yield shown


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Dashboard]:
    with serving(str(folder)) as shown:
        yield shown


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt install chromium")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_each_moment_of_the_run_is_there_and_none_beyond(served: Dashboard) -> None:
    assert "run friday" in served.said
    assert len(json.loads(served.get("/history")[1])["at_ms"]) == SECONDS
    words = [json.loads(served.get(f"/frames/{n}")[1])["stages"][0]["word"] for n in (3, SECONDS)]
    assert words == ["FRESH", "DOWN"]
    assert served.get("/frames/0")[0] == served.get(f"/frames/{SECONDS + 1}")[0] == 404


def test_it_plays_a_second_per_second_until_it_is_stopped_and_stepped(served: Dashboard, page: Page) -> None:
    page.open(f"http://127.0.0.1:{served.port}/")
    page.wait(f"{PLACE}.startsWith('2 s of 19 s')")
    page.press(" ")
    here = page.ask(PLACE)
    page.press("ArrowRight")
    page.wait(f"{PLACE} !== {json.dumps(here)}")
    page.press("ArrowLeft")
    page.wait(f"{PLACE} === {json.dumps(here)}")
    assert "FRESH" in page.ask(NODE) and "no data" not in page.text()


def test_the_moment_that_is_gone_to_is_shown_as_it_was(served: Dashboard, page: Page) -> None:
    page.open(f"http://127.0.0.1:{served.port}/", width=390, height=844)
    page.wait(f"{PLACE} !== ''")
    page.ask("goTo(19)")
    page.wait(f"{NODE}.includes('DOWN')")
    assert "run friday, as of" in page.text() and "flow/0: silent since" in page.text()
    assert page.ask("document.getElementById('pause').textContent") == "play"
    assert page.ask("document.documentElement.scrollWidth") <= 390


def test_a_device_has_the_page_that_the_run_left(with_devices: Dashboard, page: Page) -> None:
    page.open(f"http://127.0.0.1:{with_devices.port}/panel/fleet", width=390, height=844)
    page.wait("document.querySelector('#fleet input') && document.body.innerText.includes('2 devices')")
    page.ask("showDevice('ann')")
    page.wait("document.getElementById('device').open")
    for words in ("2, of which 1 positive", "2, 1 of them on a batch", "likes dairy (odds × 2.0)"):
        assert words in page.text()
    assert page.broken_figures() == []


def test_where_a_run_left_nothing_of_devices_the_page_says_why(served: Dashboard, page: Page) -> None:
    page.open(f"http://127.0.0.1:{served.port}/panel/fleet")
    page.wait("document.body.innerText.includes('says nothing of devices')")
    assert "--out of the fleet" in page.text() and not page.ask("!!document.querySelector('#fleet input')")


def test_a_folder_without_a_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dashboard", str(tmp_path), "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "has no status.jsonl" in said and said.count("\n") == 1

"""A run that is over is the same page, with all that it shows in it."""

from operator import itemgetter
from pathlib import Path

import msgspec
import pytest

from streams.dashboard.frozen import frozen_page
from streams.dashboard.played import MOST
from streams.watch.recording import Playback
from tests.streams.dashboard.browser import CHROMIUM, browser
from tests.streams.watch.statuses import frontier, pooled, status
from wire.status import Role


def run(seconds: int) -> Playback:
    return Playback(
        [
            (s * 1000, status(at_s=s, values=pooled(10 * s), frontiers=(frontier("pooled", 10 * s, 10 * s + 3, s),)))
            for s in range(1, seconds + 1)
        ]
    )


def test_it_needs_nothing_beside_it() -> None:
    text = frozen_page(run(20))
    assert "/static/" not in text and 'id="run"' in text


@pytest.mark.parametrize("name", ["</script><b>", "<!--<script>"])
def test_no_name_ends_the_script_that_it_stands_in_or_hides_its_end(name: str) -> None:
    page = frozen_page(Playback([(s * 1000, status(name=name, at_s=s, warnings=(name,))) for s in range(1, 5)]))
    told, _, rest = page.partition('type="application/json">')[2].partition("</script>")
    assert "<" not in told and rest.startswith("\n<script>")
    assert msgspec.json.decode(told)["newest"]["tables"]["processes"]["rows"][0][0] == f"flow/{name}"


def test_a_long_run_has_as_many_moments_as_can_be_drawn_and_its_end() -> None:
    page = frozen_page(run(3 * MOST))
    moments = page.partition('"at_ms":[')[2].partition("]")[0].split(",")
    assert len(moments) <= 2 * MOST and moments[0] == "1000" and moments[-1] == f"{3 * MOST * 1000}"


def test_it_stands_at_the_moment_before_its_processes_ended() -> None:
    heard = [(s * 1000, status(at_s=s, ended=s > 18)) for s in range(1, 21)]
    heard += [(s * 1000, status(role=Role.TUNNEL, at_s=s, ended=s > 19)) for s in range(1, 21)]
    heard.sort(key=itemgetter(0))
    shown = msgspec.json.decode(
        frozen_page(Playback(heard)).partition('type="application/json">')[2].partition("</s")[0]
    )
    assert (shown["newest"]["at_ms"], shown["newest"]["up"], shown["at_ms"][-1]) == (18_000, 2, 20_000)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
def test_a_browser_shows_how_it_ended(tmp_path: Path) -> None:
    (tmp_path / "run.html").write_text(frozen_page(run(20)))
    with browser(tmp_path / "profile") as page:
        page.open(f"file://{tmp_path / 'run.html'}")
        page.wait("!!document.querySelector('[data-stage=pooled]')")
        said = page.text()
        assert "a run, as it ended" in said and "3 behind" in said and "no data" not in said
        assert page.ask("document.body.dataset.moments") == "20"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
def test_of_more_partitions_than_a_plot_has_room_for_the_one_that_is_stuck_is_drawn(tmp_path: Path) -> None:
    heard = []
    for s in range(1, 21):
        ends = [(n, 10 * s if n < 23 else 0) for n in range(24)]
        partitions = tuple(frontier("pooled", at, 10 * s, s, partition=n) for n, at in ends)
        heard.append((s * 1000, status(at_s=s, frontiers=partitions)))
    (tmp_path / "run.html").write_text(frozen_page(Playback(heard)))
    with browser(tmp_path / "profile") as page:
        page.open(f"file://{tmp_path / 'run.html'}")
        page.wait("!!document.querySelector('#lag .choice button:nth-child(2)')")
        page.ask("document.querySelector('#lag .choice button:nth-child(2)').click()")
        labels = page.ask("[...document.querySelectorAll('#lag .u-label')].map((each) => each.textContent).join()")
        assert "pooled 23" in str(labels) and str(labels).count("pooled") == 16

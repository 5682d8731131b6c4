"""`coda dashboard` over HTTP: who gets in, what a gap is filled with, one line for what can't be."""

import json
import socket
from collections.abc import Iterator

import pytest

from streams.cli import run
from streams.dashboard.pages import PANELS
from streams.kafka.embedded import EmbeddedKafka
from tests.streams.dashboard.world import Dashboard, Speaker, dashboard


@pytest.fixture(scope="module")
def kafka() -> Iterator[str]:
    with EmbeddedKafka() as server:
        speaker = Speaker(server.bootstrap, devices=30)
        yield server.bootstrap
        speaker.kill()


@pytest.fixture(scope="module")
def served(kafka: str) -> Iterator[Dashboard]:
    with dashboard(kafka) as shown:
        yield shown


def frames(served: Dashboard, count: int, last: int | None = None) -> list[int]:
    """The numbers of the next frames."""
    found: list[int] = []
    with served.events(last) as stream:
        while len(found) < count:
            line = stream.readline().decode()
            if line.startswith("id: "):
                found.append(int(line[4:]))
    return found


def test_the_page_and_each_panel_have_an_address(served: Dashboard) -> None:
    assert f"http://127.0.0.1:{served.port}/" in served.said
    code, page, headers = served.get("/")
    assert code == 200 and 'data-only=""' in page and "default-src 'self'" in headers["content-security-policy"]
    for name in PANELS:
        assert f'data-only="{name}"' in served.get(f"/panel/{name}")[1]
    code, said, _ = served.get("/panel/nothing")
    assert code == 404 and "there are flow" in said


def test_everything_that_the_page_asks_for_is_served_from_here(served: Dashboard) -> None:
    for name in ("dashboard.js", "dashboard.css", "uPlot.iife.min.js", "uPlot.min.css", "LICENSE.uPlot.txt"):
        assert served.get(f"/static/{name}")[0] == 200


def test_frames_come_each_second_and_a_gap_is_filled(served: Dashboard) -> None:
    first, second = frames(served, 2)
    assert second == first + 1
    assert frames(served, 3, last=first - 1)[:3] == [first, first + 1, first + 2]


def test_the_history_and_the_stream_tell_the_same(served: Dashboard) -> None:
    history = json.loads(served.get("/history")[1])
    assert len(history["at_ms"]) == len(history["series"]["rate/pooled"]) >= 1
    assert history["newest"]["stages"][0]["name"] == "pooled"


def test_a_device_has_a_page_and_a_stranger_has_none(served: Dashboard) -> None:
    names = json.loads(served.get("/devices")[1])
    assert sorted(names) == sorted(f"user-{number}" for number in range(30))
    user = json.loads(served.get("/devices/user-3")[1])
    assert user["online"] is True and "--fleet" in user["learned"][0]
    assert served.get("/devices/nobody")[0] == 404


@pytest.mark.parametrize(
    ("host", "code"),
    [("evil.example:80", 403), ("127.0.0.1.evil.example", 403), ("", 403), ("127.0.0.1", 200), ("[::1]", 200)],
)
def test_by_another_name_of_this_machine_nobody_gets_in(served: Dashboard, host: str, code: int) -> None:
    assert served.get("/history", Host=host)[0] == code


def test_where_others_reach_it_a_token_is_asked_for(kafka: str) -> None:
    with dashboard(kafka, "--host", "0.0.0.0", "--token", "sesame") as shown:
        assert "?token=sesame" in shown.said
        assert shown.get("/history")[0] == 401 and shown.get("/?token=wrong")[0] == 401
        code, _, headers = shown.get("/?token=sesame")
        cookie = headers["set-cookie"].partition(";")[0]
        assert code == 307 and shown.get("/history", Cookie=cookie)[0] == 200


def test_a_token_may_be_of_any_characters_and_so_may_be_what_strangers_bring(kafka: str) -> None:
    with dashboard(kafka, "--host", "0.0.0.0", "--token", "grün & 1+1=%32 語") as shown:
        address = shown.said.partition(f":{shown.port}")[2].strip()
        assert shown.get("/?token=%C3%BC")[0] == 401 and shown.get("/", Cookie="coda-token=\xfc")[0] == 401
        code, _, headers = shown.get(address)
        assert code == 307 and shown.get("/history", Cookie=headers["set-cookie"].partition(";")[0])[0] == 200


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--bootstrap", "127.0.0.1:1"], "127.0.0.1:1"),
        (["--port", "70000"], "is no port"),
        (["--fleet", "no/such/folder"], "is no folder"),
        (["runs/monday", "--fleet", "runs/fleet"], "has its devices in its own folder"),
        (["--host", "0.0.0.0", "--token", ""], "--token is empty"),
    ],
)
def test_what_can_not_be_is_one_line(
    kafka: str, flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dashboard", *([] if "--bootstrap" in flags else ["--bootstrap", kafka]), *flags]) != 0
    lines = capsys.readouterr().err
    assert said in lines and lines.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["dashboard", "--bootstrap", kafka, "--port", str(port)]) == 1
    assert "choose another --port" in capsys.readouterr().err


def test_a_kafka_without_statuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with EmbeddedKafka() as empty:
        assert run(["dashboard", "--bootstrap", empty.bootstrap, "--port", "0"]) == 2
    assert "has no topic status" in capsys.readouterr().err

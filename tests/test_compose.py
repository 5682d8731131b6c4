"""docker-compose.yml, checked without an engine: its commands and settings are ones that our commands take."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclopts import App

from streams.cli import PREFIX, make_app
from streams.metrics_server import HOST_VARIABLE

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "coda-streaming"}
SERVERS = {"kafka", "mosquitto", "prometheus", "grafana"}


def settings_of(command: list[str]) -> set[str]:
    """The names of the variables that `command` takes."""
    app: App = make_app(command[0])
    _, apps, _ = app.parse_commands(command)
    names = {name for argument in apps[-1].assemble_argument_collection() for name in argument.names}
    return {PREFIX + name.lstrip("-").upper().replace("-", "_") for name in names}


def test_all_servers_and_all_our_services_are_there() -> None:
    assert set(COMPOSE["services"]) == SERVERS | set(OURS)
    assert {"train-cloud", "flow", "tunnel", "fleet", "replay"} < set(OURS)


def test_one_service_builds_the_image_and_all_others_wait_for_it() -> None:
    (builder,) = [name for name, service in COMPOSE["services"].items() if "build" in service]
    assert builder in OURS
    for name, service in OURS.items():
        assert name == builder or (service["pull_policy"] == "never" and builder in service["depends_on"])


@pytest.mark.parametrize("name", OURS)
def test_each_command_parses_through_our_own_command_line(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, value in OURS[name].get("environment", {}).items():
        monkeypatch.setenv(variable, str(value))
    command = OURS[name]["command"]
    function, bound, ignored = make_app(command[0]).parse_args(command, exit_on_error=False, print_error=False)
    assert function.__module__.startswith("streams.commands.")
    assert not ignored
    arguments = dict(bound.arguments)
    for group in ("kafka", "mqtt"):
        arguments |= vars(arguments.pop(group)) if group in arguments else {}
    for flag in ("bootstrap", "mqtt", "metrics_port"):
        variable = PREFIX + flag.upper()
        if variable in OURS[name].get("environment", {}):
            assert str(arguments[flag]) == OURS[name]["environment"][variable]


@pytest.mark.parametrize("name", OURS)
def test_each_variable_is_a_setting_of_its_command(name: str) -> None:
    variables = {v for v in OURS[name].get("environment", {}) if v.startswith(PREFIX)} - {HOST_VARIABLE}
    assert variables <= settings_of(OURS[name]["command"])


def ports() -> Iterator[str]:
    for service in COMPOSE["services"].values():
        yield from service.get("ports", [])


def test_everything_is_published_on_the_loopback_only() -> None:
    assert all(port.startswith("127.0.0.1:") for port in ports())


def test_every_file_and_volume_that_is_mounted_exists() -> None:
    for service in COMPOSE["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]


def test_every_service_that_another_waits_for_is_there() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])


def test_prometheus_scrapes_every_service_that_serves_metrics() -> None:
    scraped = yaml.safe_load((ROOT / "monitor/prometheus.yml").read_text())["scrape_configs"][0]["static_configs"][0]
    port = PREFIX + "METRICS_PORT"
    serving = {f"{name}:{s['environment'][port]}" for name, s in OURS.items() if port in s.get("environment", {})}
    assert set(scraped["targets"]) == serving


def test_the_image_holds_what_the_commands_need() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "HNSWLIB_NO_NATIVE=1" in dockerfile
    assert '"streams.cli"' in dockerfile
    assert f"{HOST_VARIABLE}=0.0.0.0" in dockerfile

"""The docs, held to the program: every command, setting and metric, every dependency, every link."""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from streams.faults.scenario import find_scenario, shipped
from tests import reference
from tests.wire.messages import GOLDEN, MESSAGES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *DOCS.rglob("*.md")))
ROOMS = ("streams", "operators", "device_sim", "index", "models", "wire", "monitor")


def test_the_reference_is_what_the_program_says() -> None:
    assert reference.PAGE.read_text() == reference.page(), "write it anew: python -m tests.reference"


def test_each_dependency_has_its_reason_and_is_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["otel"]]
    pinned = {dependency.split("==")[0] for dependency in needed}
    table = (DOCS / "architecture.md").read_text().split("## Dependencies")[1]
    named = {name.strip() for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in row.split(",")}
    assert named - {""} == pinned
    modules = {
        name.replace("-", "_") for name in pinned if name != "paho-mqtt" and not name.startswith("opentelemetry")
    }
    modules |= {"paho", "opentelemetry"}
    ours = {*ROOMS, *sys.stdlib_module_names}
    assert {
        module for room in ROOMS for path in (ROOT / room).rglob("*.py") for module in imports(path)
    } - ours == modules


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", (ROOT / page).read_text()):
        linked = (ROOT / page).parent / target if target else ROOT / page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as links to them have them."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_glossary_has_at_most_25_words() -> None:
    glossary = (DOCS / "concepts.md").read_text().split("The arms,")[0]
    assert 0 < len(re.findall(r"(?m)^\| \*\*", glossary)) <= 25


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_scenario_has_a_page_that_says_what_it_teaches(name: str) -> None:
    page = (DOCS / "scenarios" / f"{name}.md").read_text()
    assert " ".join(find_scenario(name).teaches.split()) in " ".join(page.split())
    assert f"[`{name}`](scenarios/{name}.md)" in (DOCS / "scenarios.md").read_text()


def test_every_test_that_a_page_names_is_there() -> None:
    told = "".join((DOCS / page).read_text() for page in ("guarantees.md", "operate.md", "security.md"))
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", told):
        assert f"def {name}" in (ROOT / file).read_text(), f"{file}::{name}"


def test_the_protocol_names_every_message_with_every_field() -> None:
    said = (ROOT / "docs" / "protocol.md").read_text()
    index = json.loads((GOLDEN / "index.json").read_text())
    fields = {
        name for message in MESSAGES if isinstance(message.value, Struct) for name in message.value.__struct_fields__
    }
    headers = {name for named in index["headers"].values() for name in named}
    formats = {message.value.__struct_config__.tag for message in MESSAGES if isinstance(message.value, Struct)}
    missing = [word for word in fields | headers | formats | set(index["messages"]) if f"`{word}`" not in said]
    assert missing == []

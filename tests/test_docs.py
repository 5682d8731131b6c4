"""The docs, held to the program: every setting of every verb, every metric, every dependency, every link.

The tables of settings and metrics are made from the program: `python -m tests.test_docs` writes them anew.
"""

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path

import pytest
from cyclopts import App
from docstring_parser import parse
from msgspec import Struct

from monitor import metrics
from streams.cli import VERBS, make_app
from tests.wire.messages import GOLDEN, MESSAGES

ROOT = Path(__file__).parents[1]
OPERATIONS = ROOT / "docs" / "operations.md"
ROOMS = ("streams", "operators", "device_sim", "index", "models", "wire", "monitor")


def commands() -> Iterator[list[str]]:
    """Every command line of ours without its settings, such as `["pool", "stats"]`."""
    for verb in VERBS:
        own = [name for name in make_app(verb)[verb] if not name.startswith("-")]
        yield from ([verb, name] for name in own) if own else [[verb]]


def settings_table(words: list[str]) -> str:
    """One command's settings: name, default, meaning, from its own signature and docstring."""
    _, apps, _ = make_app(words[0]).parse_commands(words)
    app: App = apps[-1]
    said = {p.arg_name: p.description or "" for p in parse(app.default_command.__doc__ or "").params}
    lines = ["| setting | default | |", "|---|---|---|"]
    for argument in app.assemble_argument_collection():
        if argument.children:  # a group of settings, such as those of a log: each comes by itself
            continue
        field = argument.field_info
        needed = field.required or field.default is Parameter.empty  # several, such as run folders
        default = "needed" if needed else "" if field.default is None else f"`{field.default}`"
        meaning = " ".join((argument.parameter.help or said[str(field.name)]).split()).replace("|", "\\|")
        lines.append(f"| `{argument.names[0]}` | {default} | {meaning} |")
    return "\n".join(lines)


def metrics_table() -> str:
    """Every metric that a process may serve."""
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    lines += [f"| `{m.name}` | {m.kind} | {', '.join(m.labels)} | {m.means} |" for m in metrics.described()]
    return "\n".join(lines)


def made() -> dict[str, str]:
    """What stands between the markers of the docs, by the marker's name."""
    return {f"coda {' '.join(words)}": settings_table(words) for words in commands()} | {"metrics": metrics_table()}


def between(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {re.escape(name)} -->\n).*?(?=<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize("name", made())
def test_every_setting_and_metric_is_in_the_docs_as_it_is(name: str) -> None:
    found = between(name).search(OPERATIONS.read_text())
    assert found, f"docs/operations.md has no table between <!-- {name} --> and <!-- end -->"
    assert found.group() == made()[name] + "\n", "write the tables anew: python -m tests.test_docs"


def test_every_verb_is_in_the_readme() -> None:
    assert [verb for verb in VERBS if f"`coda {verb}" not in (ROOT / "README.md").read_text()] == []


def test_the_readme_gives_a_reason_for_each_dependency_and_we_use_each() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {dependency.split("==")[0] for dependency in project["dependencies"]}
    table = (ROOT / "README.md").read_text().split("## Dependencies")[1]
    named = {name.strip() for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for name in row.split(",")}
    assert named - {""} == pinned
    modules = {{"paho-mqtt": "paho"}.get(name, name.replace("-", "_")) for name in pinned}
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


@pytest.mark.parametrize(
    "page", ["README.md", "docs/architecture.md", "docs/operations.md", "docs/security.md", "docs/monitoring.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target).exists(), target


def test_every_test_that_faults_and_security_name_is_there() -> None:
    told = OPERATIONS.read_text() + (ROOT / "docs" / "security.md").read_text()
    for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", told):
        assert f"def {name}" in (ROOT / file).read_text(), f"{file}::{name}"


if __name__ == "__main__":
    text = OPERATIONS.read_text()
    for marker, table in made().items():
        text = between(marker).sub(lambda _found, table=table: f"{table}\n", text, count=1)  # type: ignore[misc]
    OPERATIONS.write_text(text)


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

"""docs/reference.md, made from the program: every command with its settings, and every metric.

python -m tests.reference    writes it anew
"""

from collections.abc import Iterator
from inspect import Parameter, cleandoc
from pathlib import Path

from cyclopts import App
from docstring_parser import parse

from monitor.metrics import described
from streams.cli import COMMANDS, make_app

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
TITLE = """# Reference

Every command with its settings, and every metric. `python -m tests.reference` makes this page from the program.

A setting is read from its flag, else from `CODA_COMMAND_FLAG` (such as `CODA_TRAIN_CLOUD_SEED`), else from `CODA_FLAG`
(such as `CODA_BOOTSTRAP`), else from the section `[command]` of `coda.toml` in the working directory:

```toml
[flow]
processes = 2
pool-age = "14d"
```

Durations are written `250ms`, `90s`, `5m`, `24h` or `7d`. A switch has a negative: `--no-random`. A setting in capitals
is given without its name: `coda replay my.csv`. `CODA_METRICS_HOST` is the one variable without a flag: the address
that metrics are served on. Every command takes `--log-format json` (`CODA_LOG_FORMAT`; `log-format = "json"` at the
top of `coda.toml`): each log line is a JSON object then.

Exit codes: 0 done · 1 failed · 2 wrong usage or input · 130 Ctrl-C · 143 SIGTERM. A failure is one line on standard
error.
"""
METRICS = """## Metrics

`--metrics-port N` serves them at http://127.0.0.1:N/metrics; `monitor/prometheus.yml` and the Grafana dashboard in
`monitor/grafana` read them. [monitoring.md](monitoring.md) says what to watch.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([TITLE, *(_section(words) for words in commands()), METRICS, metrics_table(), ""])


def commands() -> Iterator[list[str]]:
    """Every command line of ours without its settings, such as `["pool", "stats"]`."""
    for command in COMMANDS:
        own = [name for name in make_app(command)[command] if not name.startswith("-")]
        yield from ([command, name] for name in own) if own else [[command]]


def _section(words: list[str]) -> str:
    _, apps, _ = make_app(words[0]).parse_commands(words)
    app: App = apps[-1]
    told = cleandoc(app.default_command.__doc__ or "")
    prose = told.partition("\nArgs:\n")[0].strip()
    return f"## coda {' '.join(words)}\n\n{prose}\n\n{settings_table(app)}\n"


def settings_table(app: App) -> str:
    """One command's settings: name, default, meaning, from its own signature and docstring."""
    said = {p.arg_name: p.description or "" for p in parse(app.default_command.__doc__ or "").params}
    lines = ["| setting | default | |", "|---|---|---|"]
    for argument in app.assemble_argument_collection():
        if argument.children:  # a group of settings, such as those of a log: each comes by itself
            continue
        field = argument.field_info
        needed = field.required or field.default is Parameter.empty  # several, such as run folders
        default = "needed" if needed else "" if field.default in (None, "", ()) else f"`{field.default}`"
        meaning = " ".join((argument.parameter.help or said[str(field.name)]).split()).replace("|", "\\|")
        lines.append(f"| `{argument.names[0]}` | {default} | {meaning} |")
    return "\n".join(lines)


def metrics_table() -> str:
    """Every metric that a process may serve."""
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    lines += [f"| `{m.name}` | {m.kind} | {', '.join(m.labels)} | {m.means} |" for m in described()]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())

"""A log's check as a section of a report: its figures, its rejected rows, a picture."""

from monitor.as_html import as_html
from monitor.plots import log_plot
from monitor.report import section, table
from streams.logs.check import LogCheck

_WORDS = "What the log holds, what was taken for what, and whether it is large enough to tell anything."


def log_section(check: LogCheck) -> str:
    """HTML of the section."""
    lines = "".join(f"<li>{as_html(line)}</li>" for line in check.figures())
    parts = [f"<ul>{lines}</ul>", f"<p><b>{as_html(check.verdict)}</b></p>"]
    if check.events:
        parts.append(log_plot(check.over_time, check.first_ms, check.last_ms, check.by_events))
    if check.rejected:
        rows = [(each.reason, f"{each.rows:,}", f"{each.line:,}", each.example) for each in check.rejected]
        parts.append(table(("rejected because", "rows", "first on line", "which is"), rows))
    return section("The log", _WORDS, *parts)

"""What a user may say about a log: which column is which, how times are written, what counts as a positive."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from wire.errors import InputError

FIELDS = ("user_id", "item_id", "category_id", "event_type", "label", "timestamp", "base")
Unit = Literal["s", "ms", "us", "ns", "min", "h", "d", "excel"]


@Parameter(name="*")
@dataclass(frozen=True)
class LogOptions:
    """The same flags wherever a log is read; what is not said is found out from the log itself."""

    column: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            help="FIELD=NAME: which column is user_id, item_id, timestamp, label, event_type or category_id, such as "
            "user_id=visitorid; user.id in nested JSON; a number, from 1, in a file without a header. base=NAME: what "
            "your own model expected of each event, a chance or log-odds, for personal models to add to.",
        ),
    ] = ()
    separator: Annotated[str, Parameter(help="What separates the fields of a text file; found out when left out.")] = ""
    positive: Annotated[
        str,
        Parameter(
            help="Which events are positives: event types (addtocart,transaction), a comparison (rating>=4), or all."
        ),
    ] = ""
    time_unit: Annotated[
        Unit | None,
        Parameter(
            help="Unit of times that are numbers: since 1970, or excel, days since 1899-12-30; found out when left out."
        ),
    ] = None
    time_zone: Annotated[str, Parameter(help="The zone of times that name none, such as Europe/Berlin.")] = "UTC"
    time_format: Annotated[str, Parameter(help="How times are written, such as '%d/%m/%Y %H:%M:%S'.")] = ""

    def columns(self) -> dict[str, str]:
        """The column that each field was said to be; raises `InputError`."""
        said = {}
        for words in self.column:
            field, _, name = (part.strip() for part in words.partition("="))
            if field not in FIELDS or not name:
                raise InputError(f"--column {words} is not FIELD=NAME with a field among {', '.join(FIELDS)}")
            said[field] = name
        return said

    def said(self, path: Path) -> str:
        """The log at `path` as a user names it on the command line, with what they said about it."""
        return shlex.join((str(path), *self.flags()))

    def flags(self) -> list[str]:
        """The command line that says the same."""
        one = {"separator": self.separator, "positive": self.positive, "time-unit": self.time_unit}
        one |= {"time-zone": self.time_zone if self.time_zone != "UTC" else "", "time-format": self.time_format}
        words = [word for said in self.column for word in ("--column", said)]
        return words + [word for name, value in one.items() if value for word in (f"--{name}", str(value))]


AS_FOUND = LogOptions()

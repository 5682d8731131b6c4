"""What a user says of a log's other columns: which of them global models may know of a moment before it is decided."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import polars as pl
from cyclopts import Parameter

from models.scores import auc
from models.streamed.context import Context, ContextNames
from streams.logs.negatives import has_sampled
from wire.errors import InputError

_LOOKED_AT = 20_000  # events, evenly spread: for their fields, and for what each says alone
_TELLS = 0.9  # AUC that no field known beforehand has by itself: what follows from an event has it


@Parameter(name="*")
@dataclass(frozen=True)
class ContextOptions:
    """The same flags wherever global models predict a log."""

    item_context: Annotated[
        str,
        Parameter(
            help="Other columns of the log that global models may know, NAME,NAME: what they say of an item, such as "
            "its price or length. Known before the event, of real impressions."
        ),
    ] = ""
    moment_context: Annotated[
        str,
        Parameter(
            help="The same, of what all items have in common that a user meets at that moment, such as a page or a "
            "device: they say how likely anything is taken, and rank nothing."
        ),
    ] = ""

    def names(self, log: pl.DataFrame) -> ContextNames:
        """The fields of each kind; raises `InputError` where `log` (columns of `streams.logs.event_log`) lacks one."""
        names = ContextNames(_listed(self.item_context), _listed(self.moment_context))
        if not names.all:
            return names
        if has_sampled(log):
            raise InputError(
                "sampled negatives have no context, so any would tell them from positives: leave --item-context and "
                "--moment-context out, or give a log of real impressions"
            )
        if len({*names.all}) < len(names.all):
            raise InputError(f"--item-context and --moment-context name a column twice: {', '.join(names.all)}")
        there = {field for context in _some(log)["context"] if context for field in msgspec.json.decode(context)}
        for name in names.all:
            if name not in there:
                raise InputError(f"the log has no other column {name}; it has {', '.join(sorted(there)) or 'none'}")
        return names

    def flags(self) -> list[str]:
        """The command line that says the same."""
        said = {"--item-context": self.item_context, "--moment-context": self.moment_context}
        return [word for flag, names in said.items() if names for word in (flag, names)]


NO_OPTIONS = ContextOptions()


def telling(log: pl.DataFrame, names: ContextNames) -> list[str]:
    """A warning for each field that alone says nearly for sure what was taken."""
    some = _some(log)
    label = some["label"].to_numpy().astype(np.uint8)
    if not names.all or len(np.unique(label)) < 2:
        return []
    contexts = [msgspec.json.decode(context) if context else None for context in some["context"]]
    columns = zip(names.all, Context(names.all).of(contexts).T, strict=True)
    found = {name: auc(label, column) for name, column in columns}
    return [
        f"{name} alone has AUC {max(of, 1 - of):.3f}: is it known before an event, or does it follow from it? Then "
        "leave it out, for no figure means anything with it"
        for name, of in found.items()
        if max(of, 1 - of) >= _TELLS
    ]


def _some(log: pl.DataFrame) -> pl.DataFrame:
    return log.select("label", "context").gather_every(max(len(log) // _LOOKED_AT, 1))


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())

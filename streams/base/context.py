"""What a user says of a log's other columns: which of them global models may know of a moment before it is decided."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import polars as pl
from cyclopts import Parameter

from models.scores import auc
from models.streamed.context import ABSENT, WORDS, Context, ContextNames
from streams.logs.negatives import has_sampled
from wire.arrays import F64, U8
from wire.errors import InputError
from wire.path import paths

_LOOKED_AT = 20_000  # events, evenly spread: for their fields, and for what each says alone
_TELLS = 0.9  # AUC that no field known beforehand has by itself: what follows from an event has it


@Parameter(name="*")
@dataclass(frozen=True)
class ContextOptions:
    """The same flags wherever global models predict a log."""

    item_context: Annotated[
        str,
        Parameter(
            help="Other columns of the log that global models may know, NAME,NAME (in double quotes where a comma is "
            "part of it; offer.price in nested JSON): what they say of an item, such as its price or length. Known "
            "before the event, of real impressions."
        ),
    ] = ""
    moment_context: Annotated[
        str,
        Parameter(
            help="The same, of what all items have in common that a user meets at that moment, such as a page or a "
            "device: they say how likely anything is taken, and rank nothing."
        ),
    ] = ""

    @property
    def said(self) -> ContextNames:
        """The fields of each kind, whether there are any or not."""
        return ContextNames(_listed(self.item_context), _listed(self.moment_context))

    def names(self, log: pl.DataFrame) -> ContextNames:
        """The fields of each kind; raises `InputError` where `log` (columns of `streams.logs.event_log`) lacks one."""
        names = self.said
        if not names.all:
            return names
        if has_sampled(log):
            raise InputError(
                "sampled negatives have no context, so any would tell them from positives: leave --item-context and "
                "--moment-context out, or give a log of real impressions"
            )
        if len({*names.all}) < len(names.all):
            raise InputError(f"--item-context and --moment-context name a column twice: {', '.join(names.all)}")
        there = _fields(_some(log))
        if not there.issuperset(names.all):
            there = _fields(log)
        for name in names.all:
            if name not in there:
                listed = ", ".join(sorted(there)) or "none"
                raise InputError(f"the log has no other column {name}, or nothing in it; it has {listed}")
        return names

    def flags(self) -> list[str]:
        """The command line that says the same."""
        said = {"--item-context": self.item_context, "--moment-context": self.moment_context}
        return [word for flag, names in said.items() if names for word in (flag, names)]


NO_OPTIONS = ContextOptions()


def telling(log: pl.DataFrame, names: ContextNames) -> list[str]:
    """A warning for each field that says nothing, or alone says nearly for sure what was taken."""
    if not names.all:
        return []
    some = _some(log)
    label = some["label"].to_numpy().astype(np.uint8)
    contexts = [msgspec.json.decode(context) if context else None for context in some["context"]]
    context = Context(names.all)
    columns = zip(names.all, context.of(contexts).T, context.words, strict=True)
    return [line for name, column, words in columns for line in _odd(name, column, words, label)]


def _odd(name: str, column: F64, words: Sequence[str], label: U8) -> Iterator[str]:
    if (column == column[0]).all():
        why = "has no number and no word" if column[0] == ABSENT else "is the same of all events"
        yield f"{name} {why}, so models learn nothing from it"
    if len(words) >= WORDS:
        yield (
            f"{name} has {WORDS} words or more, such as {words[0][:40]!r} and {words[-1][:40]!r}: all others count as "
            "one; write numbers as 1234.5, and leave ids out"
        )
    of = auc(label, column)
    if max(of, 1 - of) >= _TELLS:  # NaN, where all was taken or nothing, is not
        yield (
            f"{name} alone has AUC {max(of, 1 - of):.3f}: is it known before an event, or does it follow from it? Then "
            "leave it out, for no figure means anything with it"
        )


def _fields(log: pl.DataFrame) -> set[str]:
    return {field for context in log["context"] if context for field in paths(msgspec.json.decode(context))}


def _some(log: pl.DataFrame) -> pl.DataFrame:
    return log.select("label", "context").gather_every(max(len(log) // _LOOKED_AT, 1))


def _listed(names: str) -> tuple[str, ...]:
    (fields,) = csv.reader([names], skipinitialspace=True)
    return tuple(name.strip() for name in fields if name.strip())

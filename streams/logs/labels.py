"""What counts as a positive: a label of 0 and 1, some event types, a comparison, or every row. Never guessed."""

import json
import re
from dataclasses import dataclass

import polars as pl

from streams.logs.impressions import are_impressions
from streams.logs.options import LogOptions
from wire.errors import InputError

EVERY = "all"
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_YES_NO = {"true": 1, "t": 1, "yes": 1, "y": 1, "false": 0, "f": 0, "no": 0, "n": 0}
# As programs write them: looking them up is many times faster than lowering the case of every label.
_WORDS = {form(word): label for word, label in _YES_NO.items() for form in (str, str.upper, str.capitalize)}
_COMPARISON = re.compile(r"\s*([^<>=!]*[^<>=!\s])\s*(>=|<=|!=|==|<>|>|<|=)\s*([^<>=\s]([^<>=]*[^<>=\s])?)\s*")
_SAME_SIGN = {"==": "=", "<>": "!="}  # as programs and databases write them
# What is done in passing: no sign that somebody wanted an item.
_PASSING = {"view", "pv", "pageview", "impression", "show", "exposure", "detail", "remove_from_cart"}
# So many rows with other numbers than 0 and 1 are no slips: the column is no label.
_OTHER_ROWS, _OTHER_SHARE = 2, 0.05


@dataclass(frozen=True)
class LabelRule:
    """How the column `label` (1 or 0) is made of the columns `label` and `event_type`."""

    types: frozenset[str] = frozenset()
    comparison: tuple[str, str, str] | None = None  # column, sign, value
    every: bool = False
    of_items: bool = False  # each item of a row has its own (`streams.logs.impressions`)

    def __str__(self) -> str:
        if self.every:
            return "every row is a positive"
        if self.of_items:
            return "several items a row, each with its label"
        if self.types:
            return f"positive where event_type is {' or '.join(sorted(self.types))}"
        return f"positive where {' '.join(self.comparison)}" if self.comparison else "labels are 0 and 1"

    @property
    def reads(self) -> str:
        """The column it is made of."""
        return "event_type" if self.types else "label"

    @property
    def wanted(self) -> str:
        """What a value should have been."""
        return "a number" if self.comparison else "0 or 1"

    def label(self) -> pl.Expr:
        """1, 0, or null where the row does not say."""
        if self.every:
            return pl.lit(1, pl.Int8)
        if self.types:
            return pl.col("event_type").str.to_lowercase().is_in([kind.lower() for kind in self.types]).cast(pl.Int8)
        if self.comparison:
            return _compared(self.comparison[1], self.comparison[2]).cast(pl.Int8)
        return _flag()


def compared_column(positive: str) -> str | None:
    """The column that `--positive COLUMN>=VALUE` compares, None when it says something else.

    >>> compared_column("rating>=4"), compared_column("addtocart,transaction")
    ('rating', None)
    """
    match = _COMPARISON.fullmatch(positive)
    return match[1] if match else None


def find_label_rule(
    first: pl.DataFrame, names: dict[str, str], options: LogOptions, where: str, context: pl.Series
) -> LabelRule:
    """The rule for a log that begins with the rows `first` (columns `item_id`, `label`, `event_type`, String).

    `names` has the log's own names of its fields, `context` its other columns as JSON (String). Raises `InputError`,
    with commands that would work, unless the rows themselves or the user say what a positive is.
    """
    of_items = "label" not in names and are_impressions(first["item_id"])
    if of_items and options.positive:
        raise InputError(f"{where} has items with labels of their own ({first['item_id'][0][:40]}): drop --positive")
    if of_items:
        return LabelRule(of_items=True)
    if options.positive:
        return _said(names, options.positive, where)
    if "label" in names:
        return _found(first["label"], names["label"], where)
    if "event_type" in names:
        raise InputError(f"{where} has no label: {_type_choices(first['event_type'])}")
    choices = " or ".join(_comparisons(context)) or "--positive 'NAME>=4' or --positive NAME=yes"
    raise InputError(
        f"{where} does not say which events are positives: give --positive {EVERY} if all of them are, or compare a "
        f"column that tells, as in {choices}"
    )


def _said(names: dict[str, str], positive: str, where: str) -> LabelRule:
    comparison = _COMPARISON.fullmatch(positive)
    if comparison:
        column, sign, value = comparison[1], _SAME_SIGN.get(comparison[2], comparison[2]), comparison[3]
        if sign not in ("=", "!=") and not _NUMBER.fullmatch(value):
            raise InputError(f"--positive {positive}: {value} is no number")
        return LabelRule(comparison=(column, sign, value))
    if not {*"<>="}.isdisjoint(positive):
        raise InputError(
            f"--positive {positive} is no comparison: write COLUMN>=VALUE, or with <=, >, <, = or != in its place"
        )
    if positive.strip() == EVERY:
        return LabelRule(every=True)
    if "event_type" not in names:
        raise InputError(
            f"--positive {positive} names event types, of which {where} has no column: give --column event_type=NAME"
        )
    return LabelRule(types=frozenset(kind.strip() for kind in positive.split(",") if kind.strip()))


def _found(values: pl.Series, name: str, where: str) -> LabelRule:
    known = values.filter(values.is_not_null() & (values != ""))
    other = known.filter(known.to_frame("label").select(_flag().is_null()).to_series())
    numbers = other.cast(pl.Float64, strict=False)
    numbers = numbers.filter(numbers.is_finite())
    if len(numbers) < max(_OTHER_ROWS, _OTHER_SHARE * len(known)) and 2 * len(other) <= len(known):
        return LabelRule()
    choices = _thresholds(known, name) if len(numbers) else [f"--positive '{name}={other[0]}'"]
    kinds = ", ".join(other.unique(maintain_order=True)[:3].to_list())
    raise InputError(
        f"{where}: {name} holds {kinds}, not only 0 and 1: say which are positives, such as {' or '.join(choices)}"
    )


def _thresholds(known: pl.Series, name: str) -> list[str]:
    """Comparisons that would work: with the upper fifth of the values, and with all but the lowest."""
    numbers = known.cast(pl.Float64, strict=False)
    distinct = numbers.filter(numbers.is_finite()).unique().sort()
    upper = distinct.filter(distinct >= 0.8 * distinct[-1])[0] if distinct[-1] > 0 else distinct[-1]
    return list(dict.fromkeys(f"--positive '{name}>={value:g}'" for value in (upper, distinct[:2][-1])))


def _comparisons(context: pl.Series) -> list[str]:
    """One for each of the first columns that hold numbers."""
    known = context.drop_nulls()
    names = [name for name in (json.loads(known[0]) if len(known) else ()) if '"' not in name and "'" not in name]
    columns = {name: known.str.json_path_match(f'$["{name}"]') for name in names}
    telling = [
        name
        for name, values in columns.items()
        if values.cast(pl.Float64, strict=False).is_finite().fill_null(value=False).all()
    ]
    return [_thresholds(columns[name], name)[0] for name in telling[:2]]


def _type_choices(types: pl.Series) -> str:
    counts = types.drop_nulls().value_counts(sort=True)
    kinds = counts[counts.columns[0]].to_list()[:8]
    wanted = [kind for kind in kinds if kind.lower() not in _PASSING] or kinds or [EVERY]
    choices = dict.fromkeys([",".join(wanted), wanted[-1]])
    return f"say which of its event types ({', '.join(kinds)}) are positives: " + " or ".join(
        f"--positive {choice}" for choice in choices
    )


def _flag() -> pl.Expr:
    text = pl.col("label").str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    word = text.replace_strict(_WORDS, default=None, return_dtype=pl.Int8)
    return pl.coalesce(pl.when(number.is_in([0.0, 1.0])).then(number).cast(pl.Int8), word)


def _compared(sign: str, value: str) -> pl.Expr:
    if sign == "!=":
        return ~_compared("=", value)
    text = pl.col("label").str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    if value.lower() in _YES_NO:  # Parquet and JSON have true and false as 1 and 0
        return (text.str.to_lowercase() == value.lower()) | (_flag() == _YES_NO[value.lower()]).fill_null(value=False)
    if not _NUMBER.fullmatch(value):
        return text.str.to_lowercase() == value.lower()
    compare = {">=": pl.Expr.ge, "<=": pl.Expr.le, ">": pl.Expr.gt, "<": pl.Expr.lt, "=": pl.Expr.eq}[sign]
    return pl.when(number.is_finite()).then(compare(number, float(value)))

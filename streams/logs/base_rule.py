"""How a log writes its base: what the service's own model expected of each event, as chances or as log-odds."""

from dataclasses import dataclass

import polars as pl

from wire.errors import InputError
from wire.event import MOST_LOG_ODDS

# So many rows of another scale are no slips any more.
_OTHER_ROWS, _OTHER_SHARE = 2, 0.05


@dataclass(frozen=True)
class BaseRule:
    """How the column `base` (log-odds) is made of the column `base` (String)."""

    chances: bool

    def __str__(self) -> str:
        return "bases are chances from 0 to 1" if self.chances else "bases are log-odds"

    @property
    def wanted(self) -> str:
        """What a value should have been."""
        return "a chance from 0 to 1" if self.chances else f"log-odds from -{MOST_LOG_ODDS} to {MOST_LOG_ODDS}"

    def log_odds(self) -> pl.Expr:
        """Log-odds, null where the row does not say."""
        said = pl.col("base").cast(pl.Float64, strict=False)
        if not self.chances:
            return pl.when(said.abs() <= MOST_LOG_ODDS).then(said)
        odds = (said / (1 - said)).log().clip(-MOST_LOG_ODDS, MOST_LOG_ODDS)
        return pl.when((said >= 0) & (said <= 1)).then(odds)


def find_base_rule(first: pl.Series, where: str) -> BaseRule:
    """The rule for a log whose first rows say `first` (String): log-odds, unless all could be chances.

    Raises `InputError` where too many are of another scale to be slips: what is left would be a part of all events that
    the model itself has chosen.

    >>> str(find_base_rule(pl.Series(["0.5", "", "NaN"]), "a.csv")), str(find_base_rule(pl.Series(["0.5", "-1"]), ""))
    ('bases are chances from 0 to 1', 'bases are log-odds')
    """
    said = first.cast(pl.Float64, strict=False)
    said = said.filter(said.is_finite())
    other = said.filter(said.abs() > MOST_LOG_ODDS)
    if len(other) >= max(_OTHER_ROWS, _OTHER_SHARE * len(said)):
        raise InputError(
            f"{where} has bases such as {other[0]:g}, neither a chance from 0 to 1 nor log-odds from "
            f"-{MOST_LOG_ODDS} to {MOST_LOG_ODDS}: bring them to one of these first"
        )
    return BaseRule(chances=bool(said.is_between(0, 1).all()))

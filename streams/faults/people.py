"""The word for who is there: for as long as it lasts, devices follow a population instead of being there always."""

from typing import Any

import msgspec

from streams.population.table import find_table


class People(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="kind",
    tag="population",
    kw_only=True,
):
    """What a population's own file says: that of the known one or the file `like`, and what is said here instead."""

    like: str = ""
    availability: Any = None
    connectivity: Any = None
    completeness: Any = None
    responsiveness: Any = None
    slowest: Any = None
    clock: Any = None
    day: Any = None
    starts: Any = None

    @property
    def table(self) -> dict[str, Any]:
        """All of it as one table; raises `InputError` when there is no such population."""
        said = msgspec.to_builtins(self)
        return (find_table(self.like) if self.like else {}) | {k: said[k] for k in said if k not in ("kind", "like")}

"""Which column of a log is which field: what the user says, else names as the world writes them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from streams.logs.labels import compared_column
from streams.logs.options import FIELDS, LogOptions
from wire.errors import InputError

NEEDED = ("user_id", "item_id", "timestamp")
# Names in the order of preference, in lower case and without signs: User ID, user_id and userId are all userid.
_NAMES = {
    "user_id": "userid user uid username visitorid customerid clientid memberid reviewerid accountid householdid "
    "playerid readerid buyerid fullvisitorid userpseudoid deviceid sessionid visitor customer usersession session",
    "item_id": "itemid item iid productid product movieid videoid articleid newsid trackid songid bookid isbn asin "
    "parentasin sku stockcode businessid gameid appid recipeid adid postid documentid contentid aid movie video "
    "article track trackname song songname itemname productname",
    "category_id": "categoryid category categorycode cat genres genre",
    "event_type": "eventtype event eventname behaviortype behaviourtype behavior behaviour actiontype action "
    "feedbacktype interactiontype interaction type",
    "label": "label clicked click isclick target rating ratings score overall stars purchased bought liked islike",
    "timestamp": "timestamp timestampms timestampmillis timems ts eventtimestamp eventtime unixtime unixreviewtime "
    "epoch playedat invoicedate orderdate reviewtime time datetime createdat date when clicktime clickdate "
    "purchasedate purchasedat purchasetime viewedat watchedat ratedat loggedat occurredat eventdate servertime "
    "createdtime transactiontimestamp transactiontime transactiondate visittime visitdate",
}
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_ATOMIC = re.compile(r"(.+):(token|token_seq|float|float_seq)")  # RecBole's headers say the type, too


@dataclass(frozen=True)
class Mapping:
    """The log's own name of each field it has; all columns that are not `taken` pass through as context.

    A column without a name is taken, too: it numbers the rows.
    """

    columns: dict[str, str]
    taken: frozenset[str]

    @property
    def is_documented(self) -> bool:
        """Whether the log has all fields but a base, by the names that the documents give them."""
        return _is_documented(self.columns)

    def __str__(self) -> str:
        return ", ".join(field if name == field else f"{field}={name}" for field, name in self.columns.items())


def find_mapping(
    names: Sequence[str], options: LogOptions, where: str, nested: frozenset[str] = frozenset()
) -> Mapping:
    """The mapping for a log with columns of these names; raises `InputError` where a needed one cannot be told.

    Columns that are `nested` hold others, into which only a user's path leads.
    """
    said, compared = options.columns(), compared_column(options.positive)
    if compared:
        said["label"] = compared
    found = {field: _named(name, names, where) for field, name in said.items()}
    flat = [name for name in names if name not in nested]
    for field in _NAMES:
        name = None if field in found else _usual(field, flat, where)
        if name is not None and name not in found.values():
            found[field] = name
    missing = [field for field in NEEDED if field not in found]
    if missing:
        shown = [f"{name}.… (nested)" if name in nested else name for name in names]
        remedy = " or --separator" if len(names) == 1 and not nested else ""
        if len(names) >= len(NEEDED) and any(_NUMBER.fullmatch(name) for name in names):
            raise InputError(
                f"{where} begins with values, not with names of columns ({_listed(shown)}): say which column is which "
                f"by its number, such as --column user_id=1 --column item_id=2 --column timestamp={len(names)}"
            )
        raise InputError(
            f"{where} has no column that is surely {' or '.join(missing)} among {_listed(shown)}: say which is, "
            f"{' '.join(f'--column {field}=NAME' for field in missing)}{remedy} (without a header: its number, from 1)"
        )
    if "base" in flat and "base" not in found and _is_documented(found):
        found["base"] = "base"
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise _twice(twice[0], where)
    taken = {name for field, name in found.items() if not (compared and field == "label")}
    return Mapping({field: found[field] for field in FIELDS if field in found}, frozenset(taken | {""}))


def _is_documented(columns: dict[str, str]) -> bool:
    return all(columns.get(field) == field for field in _NAMES)


def plain_name(name: str) -> str:
    """A column's name without the type that RecBole's atomic files put behind it.

    >>> plain_name("user_id:token"), plain_name(" rating ")
    ('user_id', 'rating')
    """
    match = _ATOMIC.fullmatch(name.strip())
    return match[1] if match else name.strip()


def _named(name: str, names: Sequence[str], where: str) -> str:
    """The column that a user means by `name`; a path such as user.id leads into nested ones."""
    if name in names or name.partition(".")[0] in names:
        return name
    near = [each for each in names if _bare(each) == _bare(name)]
    if len(near) != 1:
        raise InputError(f"{where} has no column {name}: it has {_listed(names)}")
    return near[0]


def _usual(field: str, names: Sequence[str], where: str) -> str | None:
    """The column whose name is usual for the field, None when there is none."""
    if field in names:
        return field
    for usual in _NAMES[field].split():
        found = [name for name in names if _bare(name) == usual]
        if len(found) > len(set(found)):
            raise _twice(found[0], where)
        if len(found) > 1:
            choices = " or ".join(f"--column {field}={name}" for name in found)
            raise InputError(f"{where} has more than one column that may be {field}: give {choices}")
        if found:
            return found[0]
    return None


def _twice(name: str, where: str) -> InputError:
    return InputError(f"{where} has the column {name} more than once: rename one of them")


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)[:200]

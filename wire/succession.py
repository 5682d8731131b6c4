"""Which cloud model may take the place of which: whoever computes with one asks here, and says what it refused.

Within a lineage a newer version takes the place of an older one. Another lineage does only if it says that it
replaces the one in use, which its trainer was told on purpose; so does every version that comes of it.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import NamedTuple

from wire.identity import NO_MODEL, ModelId


class Verdict(StrEnum):
    """What becomes of a model that comes: one word each, as it stands in counts."""

    ADOPTED = "adopted"
    REPEATED = "repeated"
    OLDER = "older_version"
    OTHER_DIGEST = "other_digest"
    OTHER_LINEAGE = "other_lineage"

    @property
    def refused(self) -> bool:
        """Whether somebody has to be told."""
        return self not in (Verdict.ADOPTED, Verdict.REPEATED)


def judge(current: ModelId, offered: ModelId, replaces: Collection[str] = ()) -> Verdict:
    """Whether `offered`, of a lineage that `replaces` these lineages, takes the place of `current`.

    >>> one, two = ModelId("00000000000000aa", 7), ModelId("00000000000000bb", 1)
    >>> [str(judge(*each)) for each in ((one, two), (one, two, {"00000000000000aa"}))]
    ['other_lineage', 'adopted']
    """
    if current == NO_MODEL:
        return Verdict.ADOPTED
    if offered.lineage != current.lineage:
        return Verdict.ADOPTED if current.lineage in replaces else Verdict.OTHER_LINEAGE
    if offered.version != current.version:
        return Verdict.ADOPTED if offered.version > current.version else Verdict.OLDER
    return Verdict.REPEATED if offered.digest == current.digest else Verdict.OTHER_DIGEST


def refusal(current: ModelId, offered: ModelId, verdict: Verdict) -> str:
    """One line: why `offered` does not take the place of `current`, and what to do if it should."""
    match verdict:
        case Verdict.OLDER:
            return f"{offered} is older than {current}: `coda train-cloud --back-to` goes back on purpose"
        case Verdict.OTHER_DIGEST:
            return f"{offered} has the number of {current} and another content: two trainers publish here, stop one"
        case _:
            return f"{offered} does not replace {current}: `coda train-cloud --replace {current.lineage}` would"


class Offer(NamedTuple):
    """A model that came and what became of it; `why` if it was refused."""

    model: ModelId
    verdict: Verdict
    why: str = ""


class Succession:
    """Follows models as they come. `known` are those in use before: what comes must follow all of them."""

    def __init__(self, known: Iterable[ModelId] = ()) -> None:
        self._known = {model for model in known if model != NO_MODEL}

    def offer(self, model: ModelId, replaces: Collection[str]) -> Offer:
        """Judge the next model; one that is not refused is the one in use from now on."""
        verdicts = {known: judge(known, model, replaces) for known in self._known}
        for known, verdict in verdicts.items():
            if verdict.refused:
                return Offer(model, verdict, refusal(known, model, verdict))
        self._known = {model}
        adopted = not verdicts or Verdict.ADOPTED in verdicts.values()
        return Offer(model, Verdict.ADOPTED if adopted else Verdict.REPEATED)

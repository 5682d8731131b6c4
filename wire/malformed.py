"""The one way in which bytes can fail to be a message."""

from wire.errors import ArtefactError
from wire.reason import Reason


class Malformed(ArtefactError):
    """Bytes that are no message of the wanted `kind`: `reason` is the word that is counted, `detail` the sentence.

    >>> print(Malformed("event", Reason.TOO_LARGE, "70000 bytes, at most 65536"))
    event refused (too_large): 70000 bytes, at most 65536
    """

    def __init__(self, kind: str, reason: Reason, detail: str) -> None:
        super().__init__(f"{kind} refused ({reason}): {detail}")
        self.kind, self.reason, self.detail = kind, reason, detail

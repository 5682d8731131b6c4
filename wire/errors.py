"""The tree of errors for what the world does wrong; our own mistakes are assertions.

    CodaError
    ├── InputError        what the user gave cannot be used: a log, a flag, a setting
    ├── VectorError       a vector that is not finite or has the wrong width
    ├── ArtefactError     a model, task or batch that does not check out (hash, signature, format)
    ├── StorageError      a file or folder that cannot be read or written: full, read-only, not this user's
    ├── PoolError         a pool on disk that cannot be opened or trusted
    ├── ConnectionFailed  a broker that cannot be reached or a port that is taken
    └── DeliveryError     a message that a broker did not take, or an offset gap in what it gave

Every message is one line that says what happened and what to do.
"""


class CodaError(Exception):
    """Any failure that is not our own mistake; the command line prints it as one line and exits 1."""


class InputError(CodaError):
    """What the user gave cannot be used; the command line exits 2."""


class VectorError(CodaError):
    """A vector that is not finite or has the wrong width."""


class ArtefactError(CodaError):
    """A model, task or candidate batch that does not check out."""


class StorageError(CodaError):
    """A file or folder that cannot be read or written."""


class PoolError(CodaError):
    """A pool on disk that cannot be opened or trusted."""


class ConnectionFailed(CodaError):
    """A broker that cannot be reached, or a port that is already taken."""


class DeliveryError(CodaError):
    """A message that a broker did not take, or offsets that are missing from what it gave."""

"""Whose fault it was: of an error in a cluster's worker thread, Bytewax tells its caller only that a thread died."""

from types import TracebackType

from wire.errors import CodaError


class Blame:
    """Notes the first `CodaError` that leaves one of its `with` blocks, and lets it go on.

    >>> blame = Blame()
    >>> try:
    ...     with blame:
    ...         raise CodaError("the world is to blame")
    ... except CodaError:
    ...     blame.error
    CodaError('the world is to blame')
    """

    def __init__(self) -> None:
        self.error: CodaError | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, CodaError) and self.error is None:
            self.error = error

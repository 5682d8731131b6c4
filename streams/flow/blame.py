"""Whose fault it was: of an error in a cluster's worker thread, Bytewax tells its caller only that a thread died."""

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar

from wire.errors import CodaError

T = TypeVar("T")


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

    def of(self, worker: T, *calls: str) -> T:
        """`worker`, of which these `calls` are such blocks from now on.

        >>> blame = Blame()
        >>> class Worker:
        ...     def sync(self) -> int:
        ...         raise CodaError("the disk is full")
        >>> try:
        ...     blame.of(Worker(), "sync").sync()
        ... except CodaError:
        ...     blame.error
        CodaError('the disk is full')
        """
        for call in calls:
            setattr(worker, call, self._noting(getattr(worker, call)))
        return worker

    def _noting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def noting(*args: Any, **named: Any) -> Any:
            with self:
                return call(*args, **named)

        return noting

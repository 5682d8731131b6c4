"""`coda report`: the report of a run."""

from pathlib import Path

from streams.report.page import write_report


def command(run: Path, *, undisturbed: Path | None = None) -> None:
    """Make report.html in the folder of a run: of `coda demo`, `coda chaos` or `coda watch --record`.

    Example

    ```
    coda report runs/20261128-101500
    coda report runs/mine
    ```

    Args:
        run: The run's folder. Where a fleet's --out is the same folder, its predictions are compared, too.
        undisturbed: The folder of the same run without faults, to be drawn in grey.
    """
    print(write_report(run, undisturbed))

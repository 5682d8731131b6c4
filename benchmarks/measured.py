"""How a benchmark that starts processes ends: its table, and its figures as JSON."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from streams.child import ChildFailed

Measure = Callable[[argparse.Namespace], dict[str, Any]]


def measured(
    measure: Measure, table: Callable[[dict[str, Any]], Sequence[str]], options: argparse.Namespace
) -> dict[str, Any]:
    """What was measured, once it is printed and in the file `options.json`; ends here where a process failed."""
    try:
        result = measure(options)
    except ChildFailed as failure:
        sys.exit(f"{failure}\n{failure.tail}")
    print("\n".join(table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return result

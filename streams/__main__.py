"""The console script `coda`, which a signal ends without a word even before the command line is loaded."""

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; until a command listens to them itself, Ctrl-C and SIGTERM just end the process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    from streams import cli  # noqa: PLC0415 - a third of a second, on a quiet machine

    cli.main()


if __name__ == "__main__":
    main()

"""Text as HTML, in which a number and its unit stay on one line however narrow the page is."""

import re
from html import escape

NO_BREAK = "\u00a0"
_UNITS = "ms|µs|s|min|h|d|%|B|kB|MB|GB|KiB|MiB|GiB|nats"
_APART = re.compile(rf"(?<=\d) (?=(?:{_UNITS})(?!\w))|(?<=[<>≤≥×÷±]) (?=\d)")


def as_html(words: str) -> str:
    """The text, to be put into a page.

    >>> as_html("p99 > 1 min 15 s of 3 samples").split(" ")
    ['p99', '&gt;\\xa01\\xa0min', '15\\xa0s', 'of', '3', 'samples']
    """
    return escape(_APART.sub(NO_BREAK, words))

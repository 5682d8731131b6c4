"""At rest: what a restart has to know of streamed features and of models on them.

A `state()` is made of numbers, strings, bytes and arrays, in tuples, lists and dicts that a `restore` of the same class
takes back, tuples as lists: whoever keeps it writes it down without knowing what it is.
"""

from typing import Any

Rest = Any

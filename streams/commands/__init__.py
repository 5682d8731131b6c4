"""The commands of `coda`, one module each: the function `command`, or `app` where it has commands of its own.

Its docstring is its help. An example stands in a fenced block under the word Example, without a colon: a section
"Example:" would be taken for a list of parameters and vanish. Its parameters stand under "Args:".
"""

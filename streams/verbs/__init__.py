"""The verbs of `coda`, one module each: `command` is the verb, or `app` where it has verbs of its own.

A verb's docstring is its help. Its example stands in a fenced block (a section called "Example:" is
taken for a parameter list and vanishes from the help), its parameters under "Args:".
"""

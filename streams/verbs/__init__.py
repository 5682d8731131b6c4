"""The verbs of `coda`, one module each: `command` is the verb, or `app` where it has verbs of its own.

A verb's docstring is its help. Its example stands in a fenced block under the word Example, without a colon: a section
"Example:" would be taken for a list of parameters and vanish. Its parameters stand under "Args:".
"""

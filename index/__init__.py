"""The pool: a sliding window of everyone's recent samples, searchable by vector."""

"""Streamed features: what everybody did lately and what one user did before, kept up event by event.

Whoever has the stream can have them: a few table look-ups per event, memory that is bounded, and what is long ago
fades by itself. `Streamed` puts the rest together: each user's own past, strictly before an event, and the crowd's, as
old as it takes to become known. `Online` learns from them.
"""

"""`coda dashboard`: what `coda watch` shows, in a browser."""

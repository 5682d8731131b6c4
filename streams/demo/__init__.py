"""`coda demo`: everything on one machine."""

"""Event logs: the files people have, read as one stream."""

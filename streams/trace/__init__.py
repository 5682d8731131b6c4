"""`coda trace`: one event on its way, from what Kafka keeps."""

"""`coda fleet`: simulated devices between Kafka and MQTT."""

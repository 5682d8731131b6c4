"""`coda tunnel`: between Kafka and MQTT, up and down."""

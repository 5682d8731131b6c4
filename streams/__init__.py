"""The application's shell: Kafka, MQTT, the assembled dataflow and the `coda` command line."""

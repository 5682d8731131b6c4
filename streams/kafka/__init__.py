"""Kafka: topics, checked producing, batched consuming, and the embedded broker."""

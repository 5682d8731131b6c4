"""What every process of ours needs: its status, told to Kafka and to whoever sits before it."""

"""What a service with a strong global model of its own expects of each event: the base that personal models add to."""

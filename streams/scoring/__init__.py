"""`coda score`: a strong global model live, which says of each event what it expected before anybody learned of it."""

"""`coda evaluate`: the prequential run over a log and what is made of its predictions."""

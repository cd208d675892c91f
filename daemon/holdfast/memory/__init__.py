"""The incident object: one fault, its evidence, its story. Only an observation clears it."""

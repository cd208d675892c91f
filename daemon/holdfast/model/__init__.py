"""The nouns that travel between rooms: frozen dataclasses and closed vocabularies, nothing else."""

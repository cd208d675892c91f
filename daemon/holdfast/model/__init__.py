"""The nouns that travel between rooms: frozen dataclasses, frozen structs and closed vocabularies."""

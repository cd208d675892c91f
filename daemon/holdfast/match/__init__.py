"""Which patterns an event satisfies: one engine interface, the native engine, and the explanation."""

"""Hands: typed parameters, bound plans, connectors with receipts, and the workers that use them."""

"""Holdfast: emergency response for people who run a company alone."""

"""Reads the records and writes tables: no state of its own."""

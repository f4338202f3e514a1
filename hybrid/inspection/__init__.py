"""Inspection: a loaded run and an item → its explanation."""

"""Runs: a folder with one fitted model, its predictions and its record."""

"""Splitting: which item is train, validation or test."""

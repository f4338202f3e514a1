"""Audit of a split: leaks between its parts, label leakage, and what the leaks are worth."""

"""Helpers without knowledge of the domain: files, progress, interrupts, compiled loops, resources."""

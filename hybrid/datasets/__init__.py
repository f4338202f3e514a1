"""Data sets that come with the program."""

"""Kinds of duplicates; the names are in audits and records."""

SAME_IMAGE = "same image bytes"
NEAR_IMAGE = "near-duplicate poster"
SAME_TEXT = "same overview"
NEAR_TEXT = "near-same overview"
SAME_FILM = "same title and year"
NEAR_EMBEDDING = "near-same embedding"
COLLECTION = "same collection"

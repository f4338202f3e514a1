"""Extraction: the posters of a catalogue → embeddings in the cache."""

"""Near-duplicate search: similarity of bytes, vectors and texts, and duplicates in a catalogue."""

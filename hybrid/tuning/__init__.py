"""Tuning: encoders that learn the labels, cross-fitted, for a block of target-aware embeddings."""

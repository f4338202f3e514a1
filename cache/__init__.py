"""The HDF5 store of embeddings; FORMAT.md beside this file is its specification."""

from hybrid.cache.store import EmbeddingCache as EmbeddingCache
from hybrid.cache.store import EmbeddingStore as EmbeddingStore
from hybrid.cache.store import fingerprint_of as fingerprint_of

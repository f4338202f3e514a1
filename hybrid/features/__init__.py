"""Features: one scikit-learn transformer of the catalogue's frame for each block, and their fusion."""

from hybrid.features.imported import ImportedFeatures as ImportedFeatures
from hybrid.features.metadata import MetadataFeatures as MetadataFeatures
from hybrid.features.posters import PosterFeatures as PosterFeatures
from hybrid.features.text import TextFeatures as TextFeatures
from hybrid.features.text_embeddings import TextEmbeddingFeatures as TextEmbeddingFeatures

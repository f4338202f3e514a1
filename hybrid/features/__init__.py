"""One block of features a module, each a scikit-learn transformer of the catalogue's frame."""

from hybrid.features.metadata import MetadataFeatures as MetadataFeatures
from hybrid.features.posters import PosterFeatures as PosterFeatures
from hybrid.features.text import TextFeatures as TextFeatures

"""The spec of a backbone with the options of its embeddings."""

from __future__ import annotations

from hybrid.backbones import configure, get_backbone
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import trained_input_size
from hybrid.types import EmbeddingOptions


def configured_spec(
    backbone: str | BackboneSpec, options: EmbeddingOptions, weights: str | None = None
) -> BackboneSpec:
    """The spec of a backbone, or of its name, with the layer, pooling, input size and fit of the options.

    Without a size in the options it is that which the run was trained with whose weights they are.

    Examples
    --------
    >>> from hybrid.extraction.configured_spec import configured_spec
    >>> from hybrid.types import EmbeddingOptions
    >>> configured_spec("mobilenet-075", EmbeddingOptions(input_size=(64, 64))).input_size
    (64, 64)
    """
    spec = get_backbone(backbone) if isinstance(backbone, str) else backbone
    trained = None if spec.has_own_weights else trained_input_size(weights)
    return configure(
        spec,
        layer=options.layer,
        pooling=options.pooling,
        input_size=options.input_size or trained,
        fit=options.fit,
        mean=options.mean,
        std=options.std,
    )

"""Layers of a backbone by block, to unfreeze the top blocks by number or name. No Keras here."""

from __future__ import annotations

import re
from typing import Any

from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import SettingError, unknown_name
from hybrid.utils.counts import counted

# How keras.applications names the layers of one block. Layers that fit none go with the block before.
_BLOCK = re.compile(
    r"(conv\d+_block\d+|stage_\d+_block_\d+|block_?\d+[a-z]?|expanded_conv(?:_\d+)?)(?=_|$)"
)
_MOBILENET = re.compile(r"conv_(?:dw|pw|pad)_(\d+)(?=_|$)")
_INCEPTION = re.compile(r"mixed\d+$")  # ends a block
STEM = "stem"


def group_layers(application: Any) -> dict[str, list[Any]]:
    """Group the layers of a backbone by block.

    Parameters
    ----------
    application : keras.Model
        See `hybrid.backbones.networks.build_application`.

    Returns
    -------
    dict of str to list of layers
        Block → its layers, from the input upwards. A block depends on those below it by the input of its
        first layer alone.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> names = ["input", "block1_conv", "block1_pool", "block2_conv"]
    >>> network = SimpleNamespace(layers=[SimpleNamespace(name=name) for name in names])
    >>> {block: len(layers) for block, layers in group_layers(network).items()}
    {'stem': 1, 'block1': 2, 'block2': 1}
    """
    names = [layer.name for layer in application.layers]
    ends = any(_INCEPTION.match(name) for name in names)
    found = _names_by_end(names) if ends else _names_by_layer(names)
    blocks: dict[str, list[Any]] = {}
    for name, layer in zip(found, application.layers, strict=True):
        blocks.setdefault(name, []).append(layer)
    return blocks


def _names_by_layer(names: list[str]) -> list[str]:
    current, found = STEM, []
    for name in names:
        if match := _MOBILENET.match(name):
            current = f"block{match[1]}"
        elif match := _BLOCK.search(name):
            current = match[1]
        found.append(current)
    return found


def _names_by_end(names: list[str]) -> list[str]:
    """InceptionV3 names only the layer that ends a block; the lowest block takes the stem in."""
    current, found = "top", []
    for name in reversed(names):
        current = name if _INCEPTION.match(name) else current
        found.append(current)
    return found[::-1]


def unfrozen_layers(spec: BackboneSpec, application: Any, trains: str) -> list[Any]:
    """Return the layers of a backbone that a stage trains.

    Parameters
    ----------
    spec : BackboneSpec
        For messages.
    application : keras.Model
    trains : str
        ``"head"``: none; ``"all"``; a number of blocks from the top; or the name of the lowest block.

    Returns
    -------
    list of layers, from the input upwards

    Raises
    ------
    SettingError
        If there are not so many blocks, or none of this name.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from hybrid.backbones import get_backbone
    >>> names = ["block1_conv", "block2_conv", "block3_conv"]
    >>> network = SimpleNamespace(layers=[SimpleNamespace(name=name) for name in names])
    >>> [layer.name for layer in unfrozen_layers(get_backbone("vgg16"), network, "1")]
    ['block3_conv']
    """
    if trains == "head":
        return []
    if trains == "all":
        return list(application.layers)
    blocks = group_layers(application)
    return [layer for name in unfrozen_blocks(spec, application, trains) for layer in blocks[name]]


def unfrozen_blocks(spec: BackboneSpec, application: Any, trains: str) -> list[str]:
    """Names of the blocks that a stage trains, from the lowest; arguments as of `unfrozen_layers`."""
    if trains == "head":
        return []
    names = list(group_layers(application))
    if trains == "all":
        return names
    if trains.isdecimal():
        if not 0 < int(trains) < len(names):
            raise SettingError(
                f"--unfreeze: expected 1 to {counted(len(names) - 1, 'block')} of {spec.name} or 'all', "
                f"found {trains}."
            )
        first = len(names) - int(trains)
    elif trains in names:
        first = names.index(trains)
    else:
        raise SettingError(f"--unfreeze: {unknown_name(f'block of {spec.name}', trains, names)}")
    return names[first:]


def count_blocks(application: Any) -> int:
    """Number of blocks of a backbone; arguments as of `group_layers`."""
    return len(group_layers(application))


def boundary(application: Any, body: Any, learns: list[Any]) -> Any:
    """The tensor between the frozen layers of a backbone and those that learn.

    Parameters
    ----------
    application : keras.Model
    body : keras.Model
        From its input to embeddings.
    learns : list of layers
        As `unfrozen_layers` returns them.

    Returns
    -------
    tensor or None
        The embeddings where no layer learns; None where all learn.
    """
    if not learns:
        return body.output
    if len(learns) == len(application.layers):
        return None
    # Not the output of the layer below: ConvNeXt adds its residuals between the layers.
    return learns[0].input

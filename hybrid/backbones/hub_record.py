"""A preset of keras-hub: where it lies, which network it is, and how posters go into it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.backbones.onnx_record import Triple

WEIGHTS_FILE = "model.weights.h5"


@dataclass(frozen=True)
class HubImages:
    """A preset of keras-hub, as a backbone.

    Parameters
    ----------
    preset : str
        Its name, or its folder, as the user named it.
    folder : Path or None
        None while it is a name that has not been looked up.
    network : str
        Class in ``keras_hub.models``; ``""`` while the preset is not read.
    config : str
        Its arguments, without the image size, in canonical JSON.
    scale, offset : tuple of three float, or None
        Of red, green, blue: a value v of a pixel becomes scale * v + offset.
    rank : {2, 3, 4}
        Number of axes of the output: embeddings (n, D), tokens (n, t, D), feature maps.

    Examples
    --------
    >>> HubImages.named("resnet_18_imagenet").weights_file is None
    True
    """

    preset: str
    folder: Path | None = None
    network: str = ""
    config: str = ""
    scale: Triple | None = None
    offset: Triple | None = None
    rank: int = 4

    @classmethod
    def named(cls, preset: str) -> HubImages:
        """A preset that is not read yet; a folder of this name goes before a preset of keras-hub."""
        folder = Path(preset)
        return cls(preset, folder.absolute() if folder.is_dir() else None)

    @property
    def weights_file(self) -> Path | None:
        """The file of its weights, where its folder is known."""
        return None if self.folder is None else self.folder / WEIGHTS_FILE

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What of it, besides the weights, changes an embedding, as the fingerprint has it."""
        return {
            "network": self.network,
            "config": hashlib.sha256(self.config.encode()).hexdigest(),
            "scale": list(self.scale or ()),
            "offset": list(self.offset or ()),
        }

"""Networks of keras-hub's presets. The only module that imports keras-hub and kagglehub."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hybrid.backbones.registry import BackboneSpec
from hybrid.errors import SettingError, WeightsError
from hybrid.utils.reading import parse_json


def preset_handles(networks: Iterable[str]) -> dict[str, str]:
    """Name of each preset of these classes → where Kaggle has it."""
    import keras_hub

    found = {}
    for network in networks:
        kind = getattr(keras_hub.models, network, None)  # a class can be of a later version
        for name, said in ({} if kind is None else kind.presets).items():
            found[str(name)] = str(said["kaggle_handle"])
    return found


def download_preset(handle: str, wanted: Iterable[str], optional: Iterable[str] = ()) -> Path:
    """Download files of a preset into kagglehub's own cache; what is there is not downloaded again.

    Returns
    -------
    Path
        Their folder.
    """
    import kagglehub

    short = handle.removeprefix("kaggle://")
    folders = [Path(kagglehub.model_download(short, name)).parent for name in wanted]
    for name in optional:
        try:
            kagglehub.model_download(short, name)
        except Exception:  # not every preset has it; kagglehub's errors are of many kinds
            continue
    return folders[0]


def build_network(spec: BackboneSpec) -> Any:
    """Build the network of a preset for the input size of a spec; its weights are not set.

    Returns
    -------
    keras.Model
        (n, height, width, 3) → feature maps (n, h, w, D) or tokens (n, t, D).

    Raises
    ------
    WeightsError
        If the class does not take the arguments.
    SettingError
        If it does not take the input size.
    """
    import keras_hub

    hub = spec.hub
    assert hub is not None, "a preset of keras-hub"
    kind = getattr(keras_hub.models, hub.network, None)
    if kind is None:
        raise WeightsError(
            f"{spec.name}: expected a class of the installed keras-hub {keras_hub.__version__}, found "
            f"{hub.network}. Update keras-hub."
        )
    known = inspect.signature(kind.__init__).parameters
    arguments = parse_json(hub.config)
    if strange := sorted(arguments.keys() - known.keys()):
        raise WeightsError(
            f"{spec.name}: expected arguments of {hub.network}, found {', '.join(strange)[:200]}. Update "
            "keras-hub, or save the preset again."
        )
    size = "image_shape" if "image_shape" in known else "input_shape"
    arguments[size] = (*spec.input_size, 3)
    try:
        return kind(**arguments)
    except Exception as error:  # whatever the class makes of its arguments
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise SettingError(
            f"{spec.name}: expected arguments and an --input-size that {hub.network} takes, found "
            f"{spec.input_size[0]} x {spec.input_size[1]}: {first}"
        ) from error

"""Several devices of one machine: each takes an equal part of every batch, by Keras' distribution API."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from hybrid.errors import SettingError

ALL = "all"


class Dealt(keras.distribution.DataParallel):
    """Every device has the whole network and takes its part of a batch; gradients are those of the batch.

    A batch that cannot be dealt out evenly, the last of an epoch, goes whole to every device: nothing of it
    is left out, and no item counts for more than another.
    """

    @property
    def count(self) -> int:
        """How many devices."""
        return int(self.device_mesh.shape[0])

    def get_data_layout(self, data_shape: Sequence[int]) -> Any:
        """How an array of this shape, items first, lies on the devices."""
        if data_shape[0] % self.count == 0:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def find_devices(said: str, batch_size: int) -> Dealt | None:
    """What trains on so many devices; None for one, which needs nothing.

    Parameters
    ----------
    said : str
        A number of devices, or ``"all"`` that the backend sees: its GPUs, else its processors.
    batch_size : int
        Of all devices together.

    Raises
    ------
    SettingError
        If there are not so many, the backend cannot do it, or the batch cannot be dealt out evenly.
    """
    if said != ALL and not (said.isdecimal() and int(said)):
        raise SettingError(f"--devices: expected a number from 1 up, or all, found {said!r}.")
    if said == "1":
        return None
    _check_backend()
    there = keras.distribution.list_devices()
    n = len(there) if said == ALL else int(said)
    if n > len(there):
        raise SettingError(
            f"--devices: expected at most {len(there)}, which are all that Keras sees "
            f"({', '.join(there)}), found {n}. Name fewer, or all."
        )
    if batch_size % n:
        raise SettingError(
            f"--devices: expected a batch that {n} devices can share evenly, found one of {batch_size}. Give "
            f"--batch-size {-(-batch_size // n) * n}, or another multiple of {n}."
        )
    return Dealt(devices=there[:n]) if n > 1 else None


def on_devices(dealt: Dealt | None) -> AbstractContextManager[None]:
    """What is made and run inside is on these devices."""
    return nullcontext() if dealt is None else dealt.scope()


def _check_backend() -> None:
    backend = keras.backend.backend()
    if backend != "jax":
        raise SettingError(
            f"--devices: expected Keras on JAX, the one backend whose distribution Keras supports, found "
            f"{backend}. Install jax for your devices and set KERAS_BACKEND=jax, or leave the option out."
        )

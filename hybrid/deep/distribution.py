"""Data-parallel training on several devices of one machine, by Keras' distribution API."""

from __future__ import annotations

import keras

from hybrid.errors import SettingError

ALL = "all"


def make_distribution(devices: str, batch_size: int) -> keras.distribution.DataParallel | None:
    """Make a distribution in which each device takes an equal part of every batch.

    Gradients are those of the batch.

    Parameters
    ----------
    devices : str
        A number of devices, or ``"all"`` that the backend sees: its GPUs, else its processors.
    batch_size : int
        Of all devices together.

    Returns
    -------
    keras.distribution.DataParallel or None
        None for one device, which needs no distribution.

    Raises
    ------
    SettingError
        If there are not so many devices, the backend does not support it, or they cannot share the batch
        evenly.

    Examples
    --------
    >>> make_distribution("1", batch_size=32) is None
    True
    """
    if devices != ALL and not (devices.isdecimal() and int(devices)):
        raise SettingError(f"--devices: expected a number from 1 up, or all, found {devices!r}.")
    if devices == "1":
        return None
    _check_backend()
    found = keras.distribution.list_devices()
    n = len(found) if devices == ALL else int(devices)
    if n > len(found):
        raise SettingError(
            f"--devices: expected at most {len(found)}, which are all that Keras sees "
            f"({', '.join(found)}), found {n}. Name fewer, or all."
        )
    if batch_size % n:
        raise SettingError(
            f"--devices: expected a batch that {n} devices can share evenly, found one of {batch_size}. Give "
            f"--batch-size {-(-batch_size // n) * n}, or another multiple of {n}."
        )
    return keras.distribution.DataParallel(devices=found[:n]) if n > 1 else None


def _check_backend() -> None:
    backend = keras.backend.backend()
    if backend != "jax":
        raise SettingError(
            f"--devices: expected Keras on JAX, the one backend whose distribution Keras supports, found "
            f"{backend}. Install jax for your devices and set KERAS_BACKEND=jax, or leave the option out."
        )

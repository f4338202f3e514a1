"""Weights files carry what they have learnt from; Keras and our reader do not mind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from hybrid.backbones import get_backbone, resolve_weights, weightfile
from hybrid.backbones.digests import digests
from hybrid.backbones.load import init_random_weights, load_weights
from hybrid.backbones.networks import build_application
from hybrid.backbones.provenance import Ancestor, ItemHashes, Provenance
from hybrid.backbones.weights import imagenet_file
from hybrid.errors import WeightsError


def hashes(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def ancestor(name: str = "scratch", **values: object) -> Ancestor:
    items = ItemHashes(hashes(1, 2**64 - 1), hashes(7, 0), hashes(0, 9))
    given = {"digest": f"digest of {name}", "catalogue": "c", "split": "s", "items": items}
    return Ancestor(name=name, **{**given, **values})  # type: ignore[arg-type]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """The weights of a small net, as Keras saves them."""
    network = build_application(get_backbone("small"))
    init_random_weights(network, seed=3)
    path = tmp_path / "net.weights.h5"
    network.save_weights(path)
    return path


def test_bytes_hold_all_of_it() -> None:
    first = Provenance((ancestor(seconds=220.5, device="a CPU"), ancestor("old")), ("foreign.h5",))
    found = Provenance.from_bytes(first.to_bytes())
    assert found.unknown == ("foreign.h5",)
    assert [run.name for run in found.ancestors] == ["scratch", "old"]
    one, other = found.ancestors
    assert (one.digest, one.catalogue, one.split) == ("digest of scratch", "c", "s")
    assert (one.seconds, one.device, other.seconds, other.device) == (220.5, "a CPU", None, None)
    assert one.items.ids.tolist() == [1, 2**64 - 1]
    assert one.items.posters.tolist() == [7, 0]
    assert one.items.texts.tolist() == [0, 9]
    json.loads(first.to_bytes())  # nothing but JSON


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_changed_byte_is_found(place: float) -> None:
    content = bytearray(Provenance((ancestor(),)).to_bytes())
    content[int(place * len(content))] ^= 1
    with pytest.raises(WeightsError, match="expected a provenance"):
        Provenance.from_bytes(bytes(content))


def test_a_weights_file_with_it_loads_in_keras_and_here(trained: Path) -> None:
    before = weightfile.read_layers(trained)
    weightfile.write_provenance(trained, Provenance((ancestor("other"),)))
    weightfile.write_provenance(trained, Provenance((ancestor(),)))  # the latter counts
    assert weightfile.read_layers(trained) == before
    spec = get_backbone("small")
    weights = resolve_weights(spec, str(trained))
    assert [run.name for run in weights.provenance.ancestors] == ["scratch"]
    ours, plain = build_application(spec), build_application(spec)
    load_weights(spec, ours, weights)
    plain.load_weights(trained)
    expected = build_application(spec)
    init_random_weights(expected, seed=3)
    for network in (ours, plain):
        for found, wanted in zip(network.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_file_that_does_not_say_is_unknown(trained: Path) -> None:
    weights = resolve_weights(get_backbone("small"), str(trained))
    assert weights.provenance.ancestors == ()
    (unknown,) = weights.provenance.unknown
    assert unknown == f"net.weights.h5 (SHA-256 {weights.digest[:12]}…)"


def test_random_weights_have_learnt_from_nothing() -> None:
    provenance = resolve_weights(get_backbone("small"), "random").provenance
    assert (provenance.ancestors, provenance.unknown) == ((), ())


@pytest.mark.parametrize("where", ["file", "folder/of/another/name.h5"])
def test_a_file_with_imagenet_hash_is_known_whatever_its_name(
    where: str, trained: Path, tmp_path: Path
) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True, exist_ok=True)
    trained.rename(path)
    spec = replace(get_backbone("small"), weights_md5=digests(path)["md5"])
    assert resolve_weights(spec, str(path)).provenance.unknown == ()


def save_again(source: Path, path: Path, spoil: Callable[[dict[str, np.ndarray]], None]) -> None:
    """All arrays of a file under other names, in another order, compressed; spoilt before."""
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(source) as file:
        file.visititems(
            lambda name, it: arrays.update({name: it[()]} if hasattr(it, "shape") else {})
        )
    spoil(arrays)
    with h5py.File(path, "w") as file:
        for i, (name, array) in enumerate(reversed(arrays.items())):
            where = f"layers/a{i}/vars/0" if "optimizer" not in name else name
            file.create_dataset(where, data=array, compression="gzip" if array.ndim else None)


def one_bit(arrays: dict[str, np.ndarray]) -> None:
    name = next(name for name, array in arrays.items() if array.ndim == 4)
    array = arrays[name]
    array.flat[0] = np.nextafter(array.flat[0], np.float32(9))


def as_double(arrays: dict[str, np.ndarray]) -> None:
    arrays.update({name: array.astype(np.float64) for name, array in arrays.items()})


SAVED_AGAIN: dict[str, tuple[Callable[[dict[str, np.ndarray]], Any], bool]] = {
    "as it was": (lambda _: None, True),
    "with the state of an optimiser": (lambda a: a.update({"optimizer/vars/0": np.ones(3)}), True),
    "one bit of one weight": (one_bit, False),
    "one array less": (lambda a: a.pop(next(iter(a))), False),
    "one array more": (lambda a: a.update(head=np.ones((2, 2), np.float32)), False),
    "another type": (as_double, False),
}


@pytest.mark.parametrize("how", SAVED_AGAIN)
def test_imagenet_weights_that_were_saved_again_are_known_by_their_arrays(
    how: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small net stands for one with ImageNet weights, its file for that in Keras' folder."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    spoil, known = SAVED_AGAIN[how]
    again = tmp_path / "again.h5"
    save_again(trained, again, spoil)
    spec = replace(
        get_backbone("small"),
        weights_url="https://x.invalid/net.h5",
        weights_md5=digests(trained)["md5"],
    )
    assert resolve_weights(spec, str(again)).provenance.unknown  # nothing to compare with
    reference = imagenet_file(spec)
    reference.parent.mkdir(exist_ok=True)
    trained.rename(reference)
    found = resolve_weights(spec, str(again))
    assert (found.kind, found.provenance.unknown == ()) == ("file", known)
    with reference.open("ab") as file:  # no longer ImageNet's
        file.write(b"0")
    assert resolve_weights(spec, str(again)).provenance.unknown


def damaged(group: h5py.File) -> None:
    group[weightfile.PROVENANCE][3] = 0


def linked(group: h5py.File) -> None:
    del group[weightfile.PROVENANCE]
    group[weightfile.PROVENANCE] = h5py.ExternalLink("elsewhere.h5", "/x")


def folder(group: h5py.File) -> None:
    del group[weightfile.PROVENANCE]
    group.create_group(weightfile.PROVENANCE)


@pytest.mark.parametrize("spoil", [damaged, linked, folder])
def test_what_cannot_be_read_is_unknown(spoil: object, trained: Path) -> None:
    weightfile.write_provenance(trained, Provenance((ancestor(),)))
    with h5py.File(trained, "r+") as file:
        spoil(file)  # type: ignore[operator]
    assert weightfile.read_provenance(trained) is None
    assert resolve_weights(get_backbone("small"), str(trained)).provenance.unknown


def test_a_keras_archive_is_unknown(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "net.keras")
    assert weightfile.read_provenance(tmp_path / "net.keras") is None

"""Weights files that fit, that do not fit, and that are damaged or hostile."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from hybrid.backbones import (
    Weights,
    get_backbone,
    resolve_weights,
    weightfile,
)
from hybrid.backbones.digests import digests
from hybrid.backbones.engines import load_backbone
from hybrid.backbones.load import _layers, init_random_weights, load_weights
from hybrid.backbones.networks import build_application, build_body
from hybrid.backbones.weights import RUN_WEIGHTS, trained_input_size
from hybrid.errors import WeightsError
from hybrid.utils.reading import FileKind, open_file

PARAMETERS = 224  # of `tiny`, counted by hand: 3·3·3·4 + 4·4 + 3·3·4 + 4·8 + 4·8


def tiny(*, wide: int = 8, top: bool = False) -> Any:
    """A network with one layer of each common kind."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="first")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depth")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Conv2D(wide, 1, use_bias=False, name="second")(x)
    x = layers.BatchNormalization(name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, name="predictions")(x) if top else x)


def filled(network: Any, seed: int = 5) -> Any:
    random = np.random.default_rng(seed)
    network.set_weights([random.uniform(0.5, 1.5, w.shape) for w in network.weights])
    return network


SPEC = dataclasses.replace(
    get_backbone("vgg16"), name="tiny", input_size=(8, 8), dimension=8, parameters=PARAMETERS
)


def write_legacy(group: Any, network: Any) -> None:
    """The layout of Keras 2, as its own source describes it."""
    group.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
    group.attrs["keras_version"] = b"2.2.4"
    for layer in network.layers:
        own = group.create_group(layer.name)
        weights = layer.trainable_weights + layer.non_trainable_weights
        names = [f"{layer.name}/{weight.name}:0" for weight in weights]
        own.attrs["weight_names"] = [name.encode() for name in names]
        for name, weight in zip(names, weights, strict=True):
            own[name] = np.asarray(weight)


def save(network: Any, path: Path, how: str) -> Path:
    """Save in one of the layouts, under any name."""
    if how == "keras 3":
        network.save_weights("saved.weights.h5")
        return Path("saved.weights.h5").rename(path)
    if how in (".keras", ".h5"):
        network.save(f"saved{how}")
        return Path(f"saved{how}").rename(path)
    with h5py.File(path, "w") as file:
        write_legacy(file if how == "legacy" else file.create_group("model_weights"), network)
    return path


def loaded(path: Path, body: Any = None) -> Any:
    body = body or tiny()
    load_weights(SPEC, body, resolve_weights(SPEC, str(path)))
    return body


def refused(path: Path, match: str) -> str:
    """Check that a file is refused before Keras reads it; returns the message."""
    body = filled(tiny(), seed=1)
    before = body.get_weights()
    with pytest.raises(WeightsError, match=match) as caught:
        loaded(path, body)
    for now, then in zip(body.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    return str(caught.value)


@pytest.fixture(autouse=True)
def temporary_files_are_removed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


# Files that fit


@pytest.mark.parametrize("name", ["net.weights.h5", "net.h5", "net.keras", "net"])
@pytest.mark.parametrize("how", ["keras 3", ".keras", ".h5", "legacy", "legacy model"])
def test_each_layout_is_read_whatever_its_name(how: str, name: str, tmp_path: Path) -> None:
    network = filled(tiny())
    posters = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    found = loaded(save(network, tmp_path / name, how))
    assert network.count_params() == PARAMETERS
    np.testing.assert_array_equal(found(posters), network(posters))


@pytest.mark.parametrize(("name", "pooling"), [("vgg16", "avg"), ("mobilenet-075", None)])
def test_a_whole_model_saved_by_keras_is_read(
    name: str, pooling: str | None, tmp_path: Path
) -> None:
    spec = get_backbone(name)
    plain = getattr(keras.applications, spec.application)(
        include_top=False,
        weights=None,
        pooling=pooling,
        input_shape=(*spec.input_size, 3),
        **dict(spec.arguments),
    )
    init_random_weights(plain, seed=3)
    plain.save(tmp_path / "net.keras")
    found = build_application(spec)
    load_weights(spec, found, resolve_weights(spec, str(tmp_path / "net.keras")))
    for ours, theirs in zip(found.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_training_leaves_in_a_file_does_not_matter(tmp_path: Path) -> None:
    network = filled(tiny())
    network.compile("adam", "mse", metrics=["mae"])
    network.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 8)), verbose=0)
    path = save(network, tmp_path / "net.keras", ".keras")
    for now, then in zip(loaded(path).get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(now, then)


def test_the_config_in_an_archive_is_not_looked_at(tmp_path: Path) -> None:
    save(filled(tiny()), tmp_path / "net.weights.h5", "keras 3")
    with zipfile.ZipFile(tmp_path / "net.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", '{"no": json, __import__("os")')
        archive.writestr("../../outside", "x")
        archive.write(tmp_path / "net.weights.h5", "model.weights.h5")
    np.testing.assert_array_equal(
        loaded(tmp_path / "net.keras").get_weights()[0], filled(tiny()).get_weights()[0]
    )


def test_a_run_folder_serves_as_weights(tmp_path: Path) -> None:
    spec = get_backbone("scratch")
    build_body(spec).save_weights(str(tmp_path / RUN_WEIGHTS))
    weights = resolve_weights(spec, str(tmp_path))
    assert weights.path == (tmp_path / RUN_WEIGHTS).absolute()


@pytest.mark.parametrize("name", ["", RUN_WEIGHTS])
def test_a_run_tells_the_input_size_that_it_was_trained_with(tmp_path: Path, name: str) -> None:
    record = tmp_path / "run.json"
    record.write_text('{"backbone": {"name": "small", "input_size": [64, 48]}}')
    assert trained_input_size(str(tmp_path / name)) == (64, 48)
    record.write_text('{"backbone": null}')
    with pytest.raises(WeightsError, match="expected the input size of a backbone, found none"):
        trained_input_size(str(tmp_path / name))
    record.unlink()
    assert trained_input_size(str(tmp_path / name)) is None


def test_other_weights_tell_no_input_size(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"backbone": {"input_size": [64, 48]}}')
    given = (None, "imagenet", "random", str(tmp_path / "net.weights.h5"))
    assert [trained_input_size(each) for each in given] == [None] * 4


def test_inspect_lists_layers_and_shapes(tmp_path: Path) -> None:
    expected = [((3, 3, 3, 4),), ((4,),) * 4, ((3, 3, 4, 1),), ((1, 1, 4, 8),), ((8,),) * 4]
    found = weightfile.read_layers(save(tiny(), tmp_path / "a", "legacy"))
    assert [layer.shapes for layer in found] == expected
    assert [layer.name for layer in found] == ["first", "norm", "depth", "second", "last"]
    found = weightfile.read_layers(save(tiny(), tmp_path / "b", "keras 3"))
    assert {layer.name: layer.shapes for layer in found} == {
        "conv2d": expected[0],
        "batch_normalization": expected[1],
        "depthwise_conv2d": expected[2],
        "conv2d_1": expected[3],
        "batch_normalization_1": expected[4],
    }


@pytest.mark.parametrize("name", ["mobilenet-075", "scratch", "small"])
def test_names_in_a_file_are_those_that_keras_gives(name: str, tmp_path: Path) -> None:
    body = build_body(get_backbone(name))
    found = {
        layer.name: sorted(layer.shapes)
        for layer in weightfile.read_layers(save(body, tmp_path / "net", "keras 3"))
    }
    assert {name: sorted(layer.shapes) for name, layer in _layers(body)} == found


# Files that do not fit


def test_a_misfit_is_told_in_full(tmp_path: Path) -> None:
    path = save(tiny(wide=9), tmp_path / "net.h5", "legacy")
    assert refused(path, "tiny") == (
        f"{path}: expected the weights of tiny without its top.\n"
        "Expected: 5 layers, 224 parameters; first (3, 3, 3, 4); norm (4,) (4,) (4,) (4,); "
        "depth (3, 3, 4, 1); ...\n"
        "Found: 5 layers, 232 parameters; first (3, 3, 3, 4); norm (4,) (4,) (4,) (4,); "
        "depth (3, 3, 4, 1); ...\n"
        "First difference: expected second (1, 1, 4, 8), found second (1, 1, 4, 9).\n"
        "Name a file that was saved from this network, or the --backbone that it was saved from."
    )


@pytest.mark.parametrize("how", ["keras 3", ".keras", ".h5", "legacy"])
def test_the_first_difference_is_in_the_order_of_the_network(how: str, tmp_path: Path) -> None:
    path = save(tiny(wide=9), tmp_path / "net", how)
    refused(path, r"First difference: expected second \(1, 1, 4, 8\), found \w+ \(1, 1, 4, 9\)\.")


@pytest.mark.parametrize(("how", "name"), [("keras 3", "dense"), ("legacy", "predictions")])
def test_a_classifier_on_top_is_recognised(how: str, name: str, tmp_path: Path) -> None:
    path = save(tiny(top=True), tmp_path / "net", how)
    top = rf"expected no more layers, found {name} \(8, 10\) \(10,\)\.\nThe file has a classifier on top"
    refused(path, rf"{top} \({name} \(8, 10\) \(10,\)\): use the file without top \(notop\)")


@pytest.mark.parametrize("how", ["keras 3", "legacy"])
def test_another_backbone_is_recognised(how: str, tmp_path: Path) -> None:
    spec = get_backbone("mobilenet")
    path = save(build_body(get_backbone("mobilenet-075")), tmp_path / "net", how)
    with pytest.raises(
        WeightsError, match="These are the weights of mobilenet-075: use --backbone"
    ):
        load_backbone(spec, resolve_weights(spec, str(path)))


@pytest.mark.parametrize(("how", "name"), [("keras 3", "functional"), (".h5", r"functional\w*")])
def test_a_model_around_the_network_is_not_taken_apart(how: str, name: str, tmp_path: Path) -> None:
    whole = keras.Sequential([keras.Input((8, 8, 3)), tiny(), keras.layers.Dense(10)])
    path = save(whole, tmp_path / "net", how)
    refused(
        path,
        rf"Found: 2 layers, 314 parameters[^$]*\n{name} alone holds as many parameters as tiny",
    )


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "net", "keras 3")
    with h5py.File(path, "a") as file:
        del file["layers/depthwise_conv2d"]
    refused(path, r"Found: 4 layers.*\n.*expected depth \(3, 3, 4, 1\), found no such layer")


@pytest.mark.parametrize("how", ["keras 3", "legacy"])
def test_right_shapes_in_wrong_places_are_refused(how: str, tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "net", how)
    with h5py.File(path, "a") as file:
        if how == "legacy":
            names = list(file.attrs["layer_names"])
            file.attrs["layer_names"] = names[::-1]
        else:
            file.move("layers/conv2d", "layers/conv3d")
    with pytest.raises(WeightsError, match=r"expected the weights of tiny .* another order"):
        loaded(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float, tmp_path: Path) -> None:
    network = filled(tiny())
    variance = network.get_layer("norm").moving_variance
    variance.assign(np.array([1, 1, bad, 1]))
    with pytest.raises(WeightsError, match="found NaN or infinity in the layer norm"):
        loaded(save(network, tmp_path / "net", "legacy"))


# Files that are no weights, damaged or hostile


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return data.getvalue()


FOREIGN = {
    "pytorch zip": (zipped("archive/data.pkl"), "found a PyTorch checkpoint.*must be converted"),
    "pickle": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "found a pickle, as PyTorch"),
    "safetensors": (
        b"\x40" + bytes(7) + b'{"conv": {}}',
        r"neither HDF5 nor zip .*\{\"conv\": .*converted",
    ),
    "tensorflow": (
        bytes(40) + bytes.fromhex("57fb808b247547db"),
        "neither HDF5 nor zip .*converted",
    ),
    "web page": (
        b"<!DOCTYPE html><html>",
        r"neither HDF5 nor zip \(it starts with b'<!DOCTYPE html>",
    ),
    "git lfs": (
        b"version https://git-lfs.github.com/spec/v1",
        "it starts with b'version https://git-lfs",
    ),
    "garbage": (b"no weights", r"neither HDF5 nor zip \(it starts with b'no weights'\)"),
    "empty": (b"", "neither HDF5 nor zip"),
    "other zip": (
        zipped("a", "b\x1b[2J", "c", "d"),
        r"a zip without model.weights.h5 \(it holds a, '",
    ),
    "half a zip": (zipped("model.weights.h5")[:40], "found a truncated or damaged one"),
    "no hdf5 inside": (zipped("model.weights.h5"), "found a truncated or damaged one"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_named(kind: str, tmp_path: Path) -> None:
    data, match = FOREIGN[kind]
    path = tmp_path / "net.h5"
    path.write_bytes(data)
    message = refused(path, match)
    assert message.startswith(f"{path}: expected ")
    assert "\x1b" not in message


@pytest.mark.parametrize("how", ["keras 3", ".keras", "legacy"])
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_truncated_file_is_refused(how: str, share: float, tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "net", how)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refused(path, "found a truncated or damaged one .*Copy or download it again")


@pytest.mark.parametrize(
    "read",
    [
        lambda path: resolve_weights(SPEC, str(path)),
        lambda path: load_weights(SPEC, tiny(), Weights("file", "", path)),
    ],
)
def test_an_unreadable_file_is_told(
    read: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tiny(), tmp_path / "net.h5", "legacy")

    def locked(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    for reader in ("digests", "weightfile"):  # the superuser may read everything
        monkeypatch.setattr(f"hybrid.backbones.{reader}.open_file", locked)
    with pytest.raises(WeightsError, match=r"net\.h5: cannot be read: Permission denied"):
        read(path)


def soft_link(file: Any) -> None:
    file["layers/link"] = h5py.SoftLink("/layers/conv2d")


def external_link(file: Any) -> None:
    file["layers/conv2d/vars/1"] = h5py.ExternalLink("/etc/passwd", "/")


def external_data(file: Any) -> None:
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars"].create_dataset(
        "0", (3, 3, 3, 4), "float32", external=[("/etc/passwd", 0, 432)]
    )


def virtual_data(file: Any) -> None:
    layout = h5py.VirtualLayout((3, 3, 3, 4), "float32")
    layout[:] = h5py.VirtualSource("other.h5", "data", (3, 3, 3, 4))
    del file["layers/conv2d/vars/0"]
    file["layers/conv2d/vars"].create_virtual_dataset("0", layout)


def cycle(file: Any) -> None:
    file["layers/conv2d/layers"] = file["layers"]


def strings(file: Any) -> None:
    file["layers/conv2d/vars/1"] = "some text"


def records(file: Any) -> None:
    file["layers/conv2d/vars/1"] = np.zeros(3, [("a", "f4"), ("b", "i4")])


def nothing(file: Any) -> None:
    file["layers/conv2d/vars/1"] = h5py.Empty("float32")


def huge_chunk(file: Any) -> None:
    file.create_dataset("layers/x/vars/0", (3,), "float32", chunks=(2**29,), maxshape=(None,))


def huge_shape(file: Any) -> None:
    del file["layers/conv2d/vars/0"]
    file.create_dataset("layers/conv2d/vars/0", (3, 10**6, 10**6, 10**6), "float32")


HOSTILE: list[tuple[Callable[[Any], None], str]] = [
    (soft_link, "found a link at /layers/link"),
    (external_link, "found a link at /layers/conv2d/vars/1"),
    (external_data, "found data in another file at /layers/conv2d/vars/0"),
    (virtual_data, "found data in another file at /layers/conv2d/vars/0"),
    (cycle, "found an object with two names"),
    (strings, "found object instead of numbers"),
    (records, r"found \[.*instead of numbers"),
    (nothing, "found float32 instead of numbers"),
    (huge_chunk, r"found chunks of \(536870912,\) for a shape of \(3,\)"),
    (huge_shape, r"found conv2d \(3, 1000000, 1000000, 1000000\)"),
]


@pytest.mark.parametrize(("change", "match"), HOSTILE, ids=lambda x: getattr(x, "__name__", ""))
@pytest.mark.parametrize("packed", [False, True])
def test_hostile_files_are_refused(
    change: Callable[[Any], None], match: str, packed: bool, tmp_path: Path
) -> None:
    path = save(tiny(), tmp_path / "net.weights.h5", "keras 3")
    with h5py.File(path, "a") as file:
        change(file)
    if packed:
        with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
            archive.write(path, "model.weights.h5")
        path = tmp_path / "net.keras"
    refused(path, match)


def test_a_legacy_file_has_no_room_for_a_huge_shape(tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "net.h5", "legacy")
    with h5py.File(path, "a") as file:
        group = file.create_group("top_level_model_weights")
        group.attrs["weight_names"] = [b"w"]
        group.create_dataset("w", (10**6, 10**6), "float32")
    refused(path, r"found top_level_model_weights \(1000000, 1000000\)")


def test_too_many_objects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tiny(), tmp_path / "net", "keras 3")
    monkeypatch.setattr(weightfile, "MAX_OBJECTS", 20)
    refused(path, "found too many objects")


@pytest.mark.parametrize("names", [[b"gone"], [b"norm"] * 30])
def test_a_list_of_layers_that_is_wrong_is_refused(
    names: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tiny(), tmp_path / "net", "legacy")
    monkeypatch.setattr(weightfile, "MAX_OBJECTS", 29)
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = names
    refused(path, "damaged one .*(too many names in layer_names|'gone' doesn't exist)")


def test_names_that_are_split_over_attributes_are_read(tmp_path: Path) -> None:
    path = save(filled(tiny()), tmp_path / "net", "legacy")
    with h5py.File(path, "a") as file:
        names = file.attrs.pop("layer_names")
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:3], names[3:]
    np.testing.assert_array_equal(loaded(path).get_weights()[-1], filled(tiny()).get_weights()[-1])


@pytest.mark.parametrize("extra", [0, 1])
def test_an_archive_is_unpacked_up_to_a_limit(
    extra: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weightfile, "SLACK", 1000)
    limit = 4 * 4 * PARAMETERS + 1000
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(limit + extra))
    says = f"at most {limit:,} bytes in model.weights.h5, found {limit + 1:,};"
    refused(path, says if extra else "truncated or damaged")


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = save(tiny(), tmp_path / "net.keras", ".keras")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("model.weights.h5")
    entry = data.rindex(b"model.weights.h5") - 46  # in the central directory
    assert int.from_bytes(data[entry + 24 : entry + 28], "little") == info.file_size
    data[entry + 24 : entry + 28] = (5000).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, "truncated or damaged one .*CRC")


# What is asked for


def test_untrained_scratch_says_so() -> None:
    with pytest.raises(WeightsError, match=r"untrained.*hybrid fit-deep --backbone scratch"):
        resolve_weights(get_backbone("scratch"))


def test_missing_file_says_so() -> None:
    with pytest.raises(WeightsError, match=r"found no file at nowhere\.h5"):
        resolve_weights(get_backbone("vgg16"), "nowhere.h5")


def test_a_file_is_read_once_for_its_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(data := bytes(range(256)) * 10_000)
    opened = []

    def count(path: Path, kind: FileKind) -> Any:
        opened.append(path)
        return open_file(path, kind)

    monkeypatch.setattr("hybrid.backbones.digests.open_file", count)
    assert digests(path) == {
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
    }
    assert opened == [path]

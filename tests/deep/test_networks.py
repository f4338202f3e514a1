"""Networks built from their records: sizes, blocks, what learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from hybrid.backbones import BACKBONES, Weights, configure
from hybrid.backbones.networks import build_application
from hybrid.backbones.unfreezing import group_layers
from hybrid.catalogue import load_catalogue
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.items import Items
from hybrid.deep.network import Network
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import (
    NETWORKS,
    NetworkSpec,
    Stage,
    configure_network,
    get_network,
    network_names,
)
from hybrid.errors import SettingError


def small_network(name: str = "mobilenet-075", **options: object) -> Network:
    """A network on 32 x 32 pixels for three genres, its body drawn."""
    how = DeepOptions(input_size=(32, 32), weights="random", **options)  # type: ignore[arg-type]
    keras.utils.set_random_seed(0)
    network = Network(configure_network(get_network(name), how), 3)
    network.load_weights(Weights("random", "", None, 0))
    return network


def posters(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("scratch", 20_042_932),
        ("inception", 24_971_060),
        # 14,714,688 of VGG16; 25,088 x 128 + 128; 128 x 64 + 64; 64 x 20 + 20
        ("vgg16-fc", 14_714_688 + 3_211_392 + 8_256 + 1_300),
        # 3x3x3x32 + 32; 3x3x32x32 + 32; 3x3x32x64 + 64; 17 x 17 x 64 x 64 + 64; 64 x 20 + 20
        ("small", 896 + 9_248 + 18_496 + 1_183_808 + 1_300),
    ],
)
def test_networks_of_the_study_have_their_sizes(name: str, parameters: int) -> None:
    network = Network(get_network(name), 20)
    assert network.whole().count_params() == parameters
    assert network.application.count_params() == get_network(name).body.parameters


def test_inception_unfreezes_the_top_two_inception_blocks_by_name() -> None:
    application = build_application(BACKBONES["inception"])
    blocks = group_layers(application)
    assert list(blocks) == [f"mixed{i}" for i in range(11)]
    # "We chose to train the top 2 inception blocks, i.e. we will freeze the first 249 layers":
    # the example of keras.io/api/applications.
    top = [layer.name for name in ("mixed9", "mixed10") for layer in blocks[name]]
    assert top == [layer.name for layer in application.layers[249:]]


@pytest.mark.parametrize(
    ("name", "last", "count"),
    [("mobilenet-075", "block13", 14), ("vgg16", "block5", 6), ("resnet50", "conv5_block3", 17)],
)
def test_blocks_of_other_backbones(name: str, last: str, count: int) -> None:
    spec = configure(BACKBONES[name], input_size=(32, 32))
    blocks = list(group_layers(build_application(spec)))
    assert (blocks[0], blocks[-1], len(blocks)) == ("stem", last, count)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, s in BACKBONES.items() if s.application])
def test_every_backbone_can_be_cut_below_each_of_its_blocks(name: str) -> None:
    spec = get_network(name)
    body = configure(spec.body, input_size=(max(96, spec.body.min_side),) * 2)
    network = Network(replace(spec, backbone=body), 3)
    for block in list(group_layers(network.application))[1:]:
        stage = Stage("fine", block, "sgd", 1e-3)
        assert network.upper(stage).input_shape == network.lower(stage).output_shape


def test_augmentation_acts_in_training_alone() -> None:
    network = small_network("small")
    plain, augmented = network.whole(), network.whole(augment=True)
    same, other = (np.array(augmented(posters(), training=on)) for on in (False, True))
    np.testing.assert_allclose(same, np.array(plain(posters())), rtol=1e-5, atol=1e-5)
    assert np.abs(other - same).max() > 1e-3


def test_mixed_precision_keeps_variables_and_answers_in_float32() -> None:
    how = DeepOptions(input_size=(32, 32), weights="random", precision="bfloat16")
    model = DeepBaseline("mobilenet-075", how)
    model._build(3)
    dense = model.network_.application.get_layer("conv_pw_13")
    assert dense.compute_dtype == "bfloat16"
    assert dense.kernel.dtype == "float32"
    assert model.network_.whole().output.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_every_backbone_and_network_can_be_named() -> None:
    assert set(network_names()) == {*NETWORKS, *BACKBONES}
    assert all(isinstance(get_network(name), NetworkSpec) for name in network_names())
    with pytest.raises(SettingError, match=r"unknown network 'incepton'. Did you mean inception"):
        get_network("incepton")


def test_options_change_the_record() -> None:
    how = DeepOptions(
        unfreeze="block12",
        head_units="64, 32",
        dropout=0.2,
        learning_rate=0.01,
        fine_learning_rate=0.001,
        input_size=(96, 64),
    )
    spec = configure_network(get_network("mobilenet-075"), how)
    assert spec.head_units == (64, 32)
    assert (spec.dropout, spec.body.input_size) == (0.2, (96, 64))
    assert [(s.trains, s.learning_rate) for s in spec.stages] == [
        ("head", 0.01),
        ("block12", 0.001),
    ]
    assert len(configure_network(get_network("vgg16"), DeepOptions(unfreeze="0")).stages) == 1
    assert len(configure_network(get_network("scratch"), DeepOptions(stages=1)).stages) == 1


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (
            "scratch",
            {"unfreeze": "2"},
            "--unfreeze: expected none, since all of scratch learns",
        ),
        (
            "small",
            {"fine_learning_rate": 0.1},
            "--fine-learning-rate: expected none, since small has one",
        ),
        ("vgg16", {"head_units": "a"}, "--head-units: expected sizes such as 1024,1024, found 'a'"),
        ("vgg16", {"input_size": (8, 8)}, "--input-size: expected height and width of 32 or more"),
        ("vgg16", {"loss": "focl"}, "--loss: unknown loss 'focl'. Did you mean focal"),
        ("vgg16", {"loss": "focal", "task": "multiclass"}, "--loss: expected weighted or plain"),
    ],
)
def test_what_cannot_be_is_refused(network: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        DeepBaseline(network, DeepOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trains", "message"),
    [
        ("14", "expected 1 to 13 blocks of mobilenet-075 or 'all', found 14"),
        ("block99", "unknown block"),
    ],
)
def test_unknown_block_is_refused(trains: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        small_network().freeze(Stage("fine", trains, "sgd", 1e-3))


def test_bad_options_are_listed_together() -> None:
    with pytest.raises(SettingError, match=r"--patience: .*\n--dropout: .*\n--learning-rate: "):
        DeepOptions(patience=0, dropout=1.0, learning_rate=2.0).check()


OVERFIT_ALL = {"epochs": 60, "patience": 60, "dropout": 0.0, "loss": "plain"}
OVERFIT = [
    (
        "scratch",
        {"input_size": (46, 46), "stages": 1, "epochs": 30, "batch_size": 8, "learning_rate": 5e-4},
    ),
    ("small", {"input_size": (32, 32), "epochs": 40, "batch_size": 8}),
    pytest.param(  # its first and last blocks: tests/deep/test_unfreezing.py
        "mobilenet-075",
        {
            "unfreeze": "all",
            "learning_rate": 1e-2,
            "fine_learning_rate": 5e-3,
            "batch_size": 8,
            "epochs": 20,
        },
        marks=pytest.mark.slow,
    ),
    ("vgg16-fc", {"batch_size": 8}),
    pytest.param(
        "vgg16-conv",
        {"batch_size": 8},
        marks=pytest.mark.slow,
    ),
    pytest.param(
        "inception",
        {"input_size": (75, 75), "batch_size": 8, "epochs": 150},
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.usefixtures("until_learnt")
@pytest.mark.parametrize(("name", "options"), OVERFIT)
def test_every_network_overfits_32_posters(
    name: str, options: dict[str, object], films: Path
) -> None:
    """Labels are given where the probability is above one half: what the network itself has learnt."""
    catalogue = load_catalogue(films)
    items = Items(catalogue.ids.tolist(), catalogue.poster_paths, catalogue.labels)
    items = items.take(np.arange(32))
    pretrained = (
        {"input_size": (32, 32), "weights": "random"} if get_network(name).pretrained else {}
    )
    how = DeepOptions(**{**OVERFIT_ALL, **pretrained, **options})  # type: ignore[arg-type]
    model = DeepBaseline(name, how).fit(items, items)
    truth, said = catalogue.labels[:32], model.decision_function(items) > 0
    f1 = 2 * (truth * said).sum() / (truth.sum() + said.sum())
    assert f1 >= 0.95

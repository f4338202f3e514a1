"""What learns of a network, and its parts below and above: on MobileNet's first and last two blocks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score

from hybrid.backbones import Weights
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.items import Items
from hybrid.deep.losses import make_loss
from hybrid.deep.network import Network
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import Stage, configure_network, get_network
from hybrid.deep.train import compile_inference

LABELS = np.eye(3, dtype=np.uint8)[[0, 1, 2, 0]]


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """Whatever is trained here, in whatever order, is the shallow network."""


def small_network() -> Network:
    """A MobileNet on 32 x 32 pixels for three genres, its body drawn."""
    how = DeepOptions(input_size=(32, 32), weights="random")
    keras.utils.set_random_seed(0)
    network = Network(configure_network(get_network("mobilenet-075"), how), 3)
    network.load_weights(Weights("random", "", None, 0))
    return network


def values(network: Network) -> dict[str, np.ndarray]:
    variables = [*network.application.weights, *network.head.weights]
    return {variable.path: keras.ops.convert_to_numpy(variable).copy() for variable in variables}


def posters(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("trains", ["head", "1", "block12", "all"])
def test_gradient_flows_only_where_unfrozen(trains: str) -> None:
    network = small_network()
    network.freeze(Stage("fine", trains, "sgd", 1e-3))
    learner = network.whole()
    compile_inference(learner, optimizer=keras.optimizers.SGD(0.1), loss=make_loss("plain", LABELS))
    before = values(network)
    learner.train_on_batch(posters(), LABELS)
    after = values(network)
    changed = {path for path, value in before.items() if not np.array_equal(value, after[path])}
    unfrozen = {"head": (), "1": ("_13",), "block12": ("_12", "_13"), "all": ("",)}[trains]
    expected = {
        variable.path
        for layer in network.application.layers
        if any(part in layer.name for part in unfrozen)
        for variable in layer.weights
        if "moving" not in variable.path  # statistics of batch normalisation stay
    } | {variable.path for variable in network.head.weights}
    # What a ReLU cuts off has no gradient, and a bias before a normalisation none either.
    assert changed <= expected
    assert len(changed) > 0.8 * len(expected)


def test_lower_and_upper_part_make_the_whole() -> None:
    network, stage = small_network(), Stage("fine", "2", "sgd", 1e-3)
    whole = np.array(network.whole()(posters()))
    parted = network.upper(stage)(network.lower(stage)(posters()))
    np.testing.assert_allclose(np.array(parted), whole, rtol=1e-5, atol=1e-6)
    assert network.lower(Stage("fine", "all", "sgd", 1e-3)) is None


@pytest.mark.usefixtures("until_learnt")
def test_all_blocks_overfit_32_posters(items: Items) -> None:
    """With the statistics of its batch normalisations; slow for all of MobileNet: see test_networks.py."""
    how = DeepOptions(
        input_size=(32, 32),
        weights="random",
        unfreeze="all",
        learning_rate=1e-2,
        fine_learning_rate=5e-3,
        batch_size=8,
        epochs=20,
        patience=20,
        dropout=0.0,
        loss="plain",
    )
    some = items.take(np.arange(32))
    model = DeepBaseline("mobilenet-075", how).fit(some, some)
    assert f1_score(some.labels, model.decision_function(some) > 0, average="micro") >= 0.95

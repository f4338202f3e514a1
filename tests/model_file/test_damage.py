"""What is damaged, missing, or meant to harm in a model file is refused, and the message says where."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.errors import HybridError, RunError
from hybrid.features import MetadataFeatures, TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.heads import HybridClassifier
from hybrid.heads.registry import HEADS
from hybrid.model_file import load_model, save_model
from hybrid.model_file.arrays import DTYPES, ArrayReader
from hybrid.model_file.place import Place
from hybrid.model_file.schema import Object

FRAME = pd.DataFrame(
    {
        "overview": ["a ghost in a house", "a sheriff rides west", "love in paris", "a ghost ship"]
        * 6,
        "year": [1990.0, 1950.0, 2001.0, 1984.0] * 6,
        "language": ["en", "fr", "fr", "en"] * 6,
    }
)
LABELS = np.array([[1, 0], [0, 1], [0, 0], [1, 1]] * 6)
GROWN_OTHERWISE = "forest, best splits first"
SOME = (
    "svm",
    "forest",
    GROWN_OTHERWISE,
    "boosting",
    "svc-rbf",
    "knn",
    "sgd",
    "rbf",
    "ridge",
    "dummy-uniform",
)
BLOCKS = {("parameters", "fusion"), ("fitted", "fusion_")}  # they are the same for all heads


def fit(name: str) -> HybridClassifier:
    trees = {
        "forest": {"n_estimators": 2},
        GROWN_OTHERWISE: {"n_estimators": 2, "max_leaf_nodes": 4},
        "boosting": {"estimator__max_iter": 2, "estimator__min_samples_leaf": 2},
    }
    spec = HEADS[name.partition(",")[0]]
    head = spec.build(0).set_params(**trees.get(name, {}))
    blocks = [
        ("text", TextFeatures(["overview"], max_chars=3)),
        ("metadata", MetadataFeatures(["year"], ["language"])),
    ]
    how = {"folds": 2, "tuned": spec.tuned}
    return HybridClassifier(Fusion(blocks), head, {}, (), **how).fit(FRAME, LABELS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Head → a file with a model; not to be changed."""
    folder, made = tmp_path_factory.mktemp("models"), dict[str, Path]()

    def save(name: str) -> Path:
        if name not in made:
            made[name] = folder / name / "model.json"
            made[name].parent.mkdir()
            save_model(fit(name), made[name])
        return made[name]

    return save


class Opened:
    """The structure of a model, and its arrays, to be read again and again."""

    def __init__(self, path: Path) -> None:
        self.plain = json.loads(path.read_text())["model"]
        self.ways = list(nodes(self.plain))
        if path.parent.name != SOME[0]:
            self.ways = [way for way in self.ways if way[0][:2] not in BLOCKS]
        self.at = Place(path, ArrayReader(path.with_suffix(".npz")))

    def read(self, plain: Any) -> HybridClassifier:
        at = Place(self.at.file, copy.copy(self.at.arrays))  # which counts what is taken
        model: HybridClassifier = Object(("HybridClassifier",)).read(plain, at)
        return model


def nodes(plain: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """All values of a structure, with the way to them."""
    yield path, plain
    if isinstance(plain, dict | list):
        for name, part in plain.items() if isinstance(plain, dict) else enumerate(plain):
            yield from nodes(part, (*path, name))


def changed(plain: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value somewhere; `DELETED` removes it."""
    found = copy.copy(plain)
    if len(path) > 1:
        found[path[0]] = changed(plain[path[0]], path[1:], value)
    elif value is DELETED:
        del found[path[0]]
    else:
        found[path[0]] = value
    return found


DELETED = object()
WRONG = {"a": {}, "b": 1}  # of no kind


def fields(ways: list[tuple[tuple[Any, ...], Any]]) -> Iterator[tuple[Any, ...]]:
    """The way to each parameter and each fitted attribute, of one object of each class."""
    known = set()
    for path, part in ways:
        if isinstance(part, dict) and "class" in part:
            for kind in ("parameters", "fitted"):
                for name in part.get(kind, {}):
                    if (part["class"], name) not in known:
                        known.add((part["class"], name))
                        yield (*path, kind, name)


@pytest.mark.parametrize("name", SOME)
def test_each_field_that_is_missing_is_named(name: str, saved: Callable[[str], Path]) -> None:
    opened = Opened(saved(name))
    optional = {"feature_names_in_", "n_features_in_", "_sklearn_output_config", "solver_"}
    optional |= {"items", "rows", "rows_"}  # earlier formats and versions did not have them
    for path in fields(opened.ways):
        own = path[:-2]
        parent = opened.plain
        for step in own:
            parent = parent[step]
        if parent["class"] in PLAIN_PARAMETERS and path[-2] == "parameters":
            continue  # of scikit-learn: it has a default
        if path[-1] in optional:
            continue
        with pytest.raises(RunError, match=f"expected .*{path[-1]}.* at model.*, found"):
            opened.read(changed(opened.plain, path, DELETED))


PLAIN_PARAMETERS = {
    *("SGDClassifier", "RidgeClassifier", "RandomForestClassifier", "DummyClassifier", "SVC"),
    *("HistGradientBoostingClassifier", "TruncatedSVD", "LabelBinarizer", "BernoulliNB"),
}


@pytest.mark.parametrize("name", SOME)
def test_each_field_of_a_wrong_type_is_named(name: str, saved: Callable[[str], Path]) -> None:
    opened = Opened(saved(name))
    for path in fields(opened.ways):
        for wrong in ({"a": [], "b": WRONG}, [[WRONG]]):
            with pytest.raises(RunError, match=r"expected .* at model.*, found"):
                opened.read(changed(opened.plain, path, wrong))


@pytest.mark.parametrize("name", SOME)
def test_each_array_of_a_wrong_type_or_shape_is_named(
    name: str, saved: Callable[[str], Path]
) -> None:
    opened = Opened(saved(name))
    known = set()
    for path, part in opened.ways:
        key = tuple(step for step in path if isinstance(step, str))
        if not (isinstance(part, dict) and "dtype" in part) or key in known:
            continue
        known.add(key)
        for wrong in (
            {**part, "dtype": "object"},
            {**part, "dtype": "complex128"},
            {**part, "shape": [*part["shape"], 1, 1]},
            {**part, "shape": [2**62, 2**62]},
            {**part, "shape": [-1]},
            {**part, "start": 2**62},
            {**part, "start": -1},
            {name: value for name, value in part.items() if name != "start"},
        ):
            with pytest.raises(RunError, match=r"expected .* at model.*, found"):
                opened.read(changed(opened.plain, path, wrong))


def test_a_class_that_is_not_registered_is_never_looked_up(saved: Callable[[str], Path]) -> None:
    opened = Opened(saved("svm"))
    for path, part in opened.ways:
        if isinstance(part, dict) and "class" in part:
            for name in ("os.system", "builtins.eval", "Pipeline", "HybridClassifier", ""):
                if name != part["class"]:
                    with pytest.raises(RunError, match=r"expected .* at model"):
                        opened.read(changed(opened.plain, (*path, "class"), name))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["nan", "inf", "text", "float64", "HybridClassifier", "../..", ""])
    | st.sampled_from([0, 1, -1, 2, 3, 2**31, 2**63 - 1])
)
JSON = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)
)


@pytest.mark.parametrize("name", SOME)
def test_a_mutated_structure_is_refused_or_harmless(
    name: str, saved: Callable[[str], Path]
) -> None:
    opened = Opened(saved(name))
    ways = [path for path, _ in opened.ways if path]

    @settings(max_examples=20, deadline=None)
    @given(st.integers(0, len(ways) - 1), JSON | st.just(DELETED))
    def mutate(number: int, value: Any) -> None:
        try:
            model = opened.read(changed(opened.plain, ways[number], value))
        except RunError:
            return
        model.set_params(n_jobs=1)
        with contextlib.suppress(HybridError, ValueError, TypeError, ArithmeticError):
            model.predict_proba(FRAME)

    mutate()


# Numbers that compiled code would follow out of its memory, or round in a circle


def joined(file: Any) -> dict[str, Any]:
    """Arrays of an archive; some types are in it as the first byte of each number, the second of each …"""
    whole = {name: file[name] for name in file.files if "." not in name}
    for name in {name.partition(".")[0] for name in file.files} - {*whole}:
        planes = [file[f"{name}.{i}"] for i in range(np.dtype(name).itemsize)]
        whole[name] = np.stack(planes, axis=1).view(name).ravel()
    return whole


def rewritten(
    path: Path, folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> Path:
    """A copy of a model whose arrays, and structure, were changed."""
    structure = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
        arrays = joined(file)
    change(structure["model"], arrays)
    new = folder / "model.json"
    new.write_text(json.dumps(structure))
    np.savez_compressed(new.with_suffix(".npz"), **arrays)
    return new


def at_array(plain: Any, *names: str) -> dict[str, Any]:
    """Where the first array is whose way ends with these names."""
    return next(
        part for path, part in nodes(plain) if path[-len(names) :] == names and "dtype" in part
    )


@pytest.mark.parametrize(
    ("head", "names", "value", "message"),
    [
        ("forest", ("estimators_", "feature"), 10**6, "features from 0 to"),
        ("forest", ("estimators_", "feature"), -1, "values from 0"),
        ("forest", ("estimators_", "counts"), 10**6, "truth values?, eight a byte"),
        ("forest", ("estimators_", "counts"), 2**62, "truth values?, eight a byte"),
        ("forest", ("estimators_", "leaves"), 10**6, "values below"),
        ("forest", ("estimators_", "leaves"), -1, "values from 0"),
        ("forest", ("estimators_", "inner"), 0, "inner nodes and"),
        (GROWN_OTHERWISE, ("estimators_", "left"), 0, "nodes after their parents"),
        (GROWN_OTHERWISE, ("estimators_", "right"), 2**30, "nodes after their parents"),
        (GROWN_OTHERWISE, ("estimators_", "feature"), 10**6, "features from 0 to"),
        (GROWN_OTHERWISE, ("estimators_", "counts"), 10**6, "nodes in sum"),
        (GROWN_OTHERWISE, ("estimators_", "left"), -1, "inner nodes and"),
        (GROWN_OTHERWISE, ("estimators_", "leaves"), 10**6, "values below"),
        ("boosting", ("_predictors", "left"), 0, "nodes after their parents"),
        ("boosting", ("_predictors", "right"), 2**31, "nodes after their parents"),
        ("boosting", ("_predictors", "feature"), -5, "features from 0 to"),
        ("svc-rbf", ("support_",), 10**6, "values below"),
        ("svc-rbf", ("support_",), -1, "values from 0"),
        ("svc-rbf", ("_n_support",), 10**6, "support vectors in sum"),
        ("svc-rbf", ("sparse", "indices"), 10**6, "values below"),
        ("svc-rbf", ("sparse", "indptr"), 10**6, "row ends that rise from 0"),
        ("knn", ("sparse", "indices"), -1, "values from 0"),
        ("svm", ("columns_",), 10**6, "values below"),
        ("svm", ("columns_",), -2, "values from -1"),
        ("svm", ("grams_", "lengths"), 10**6, "in sum"),
        ("svm", ("places",), 10**6, "each place from 0 to"),
    ],
)
def test_numbers_that_lead_out_of_memory_are_refused(
    head: str,
    names: tuple[str, ...],
    value: int,
    message: str,
    saved: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    def change(plain: dict[str, Any], arrays: dict[str, Any]) -> None:
        for path, part in nodes(plain):
            known = tuple(step for step in path if isinstance(step, str))
            if known[-len(names) :] == names and isinstance(part, dict) and "dtype" in part:
                assert part["shape"] != [0], path
                arrays[part["dtype"]][part["start"]] = value
                return
        raise AssertionError(f"no {names}")

    with pytest.raises(RunError, match=message):
        load_model(rewritten(saved(head), tmp_path, change), HybridClassifier)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("field", ["idf_", "scale_"])
def test_what_is_divided_by_is_above_zero(field: str, value: float, tmp_path: Path) -> None:
    """A compiled loop would end in an error of its own, or in nonsense."""
    frame = FRAME.assign(minutes=[90.0, 100.0, 110.0, 120.0] * 6)
    blocks = [("text", TextFeatures(["overview"])), ("metadata", MetadataFeatures(["minutes"]))]
    fusion = Fusion(blocks).fit(frame)
    found = fusion.fitted_[0][1].idf_[0] if field == "idf_" else fusion.fitted_[1][1].scale_
    found[0] = value
    save_model(fusion, tmp_path / "model.json")
    with pytest.raises(RunError, match=rf"finite values above 0 at .*{field}"):
        load_model(tmp_path / "model.json", Fusion)


def test_an_array_that_is_taken_again_and_again_is_refused(saved: Callable[[str], Path]) -> None:
    """A short structure would fill the memory with copies."""
    opened = Opened(saved("svm"))
    results = opened.plain["fitted"]["fusion_"]["fitted"]["fitted_"][0][1]["fitted"]["idf_"]
    path = ("fitted", "fusion_", "fitted", "fitted_", 0, 1, "fitted", "idf_")
    with pytest.raises(RunError, match=r"expected an array that model\.npz has"):
        opened.read(changed(opened.plain, path, results * 1000))


def test_heads_of_other_blocks_are_refused(saved: Callable[[str], Path]) -> None:
    opened = Opened(saved("svm"))
    fitted = ("fitted", "fusion_", "fitted", "fitted_")
    fewer = opened.plain["fitted"]["fusion_"]["fitted"]["fitted_"][:1]
    with pytest.raises(RunError, match=r"\(D\) at model, found"):
        opened.read(changed(opened.plain, fitted, fewer))


# The archive


class Canary:
    """Runs when it is unpickled."""

    fired = False

    def __reduce__(self) -> Any:
        return setattr, (Canary, "fired", True)


NO_BYTES = np.zeros(3, np.uint8)


def packed(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def npy(array: Any, **how: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, **how)
    return out.getvalue()


HOSTILE = {
    "nothing": b"",
    "no archive": b"PK\x03\x04 no archive",
    "a pickle": pickle.dumps(Canary()),
    "an array of objects": packed(
        {"float64.npy": npy(np.array([Canary()], dtype=object), allow_pickle=True)}
    ),
    "a pickle inside": packed({"float64.npy": pickle.dumps(Canary())}),
    "another file": packed({"../float64.npy": npy(np.zeros(3))}),
    "another type": packed({"float64.npy": npy(np.zeros(3, np.float32))}),
    "two dimensions": packed({"float64.npy": npy(np.zeros((3, 3)))}),
    "too little": packed({"float64.npy": npy(np.zeros(99))[:-8]}),
    "too much": packed({"float64.npy": npy(np.zeros(99)) + b"12345678"}),
    "a header of code": packed({"float64.npy": npy(np.zeros(3)).replace(b"'<f8'", b"print")}),
    "planes that lack one": packed({f"float32.{i}.npy": npy(NO_BYTES) for i in (0, 1, 3)}),
    "planes, and all at once": packed(
        {"float32.npy": npy(np.zeros(3, np.float32))}
        | {f"float32.{i}.npy": npy(NO_BYTES) for i in range(4)}
    ),
    "planes of several lengths": packed(
        {f"float32.{i}.npy": npy(np.zeros(3 + i, np.uint8)) for i in range(4)}
    ),
    "planes of another type": packed(
        {f"float32.{i}.npy": npy(np.zeros(3, np.int8)) for i in range(4)}
    ),
    "a plane that is too long": packed(
        {f"float32.{i}.npy": npy(NO_BYTES) + b"1" * (i == 2) for i in range(4)}
    ),
    "a plane that is too short": packed(
        {f"float32.{i}.npy": npy(NO_BYTES)[: -(i == 2) or None] for i in range(4)}
    ),
    "planes of bytes": packed({"uint8.0.npy": npy(NO_BYTES)}),
    "truth values": packed({"bool.npy": npy(np.zeros(3, bool))[:-1] + b"\x07"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(
    name: str, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(saved("svm").read_bytes())
    path.with_suffix(".npz").write_bytes(HOSTILE[name])
    with pytest.raises(RunError, match=r"model\.npz: expected the arrays of a model, found"):
        load_model(path, HybridClassifier)
    assert not Canary.fired


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("uint8.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))
    with pytest.raises(RunError, match=r"bytes packed into"):
        ArrayReader(path)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused(saved: Callable[[str], Path], data: st.DataObject) -> None:
    path = saved("svm")
    whole = bytearray(path.with_suffix(".npz").read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.booleans())
    damaged = path.with_name("damaged.npz")
    damaged.write_bytes(whole[:place] if cut else whole)
    try:
        found = ArrayReader(damaged)
    except RunError:
        return
    wanted = ArrayReader(path.with_suffix(".npz"))  # a byte that says nothing, such as a date
    for name in DTYPES:
        some = [each._arrays.get(name, np.empty(0)) for each in (wanted, found)]
        assert some[0].tobytes() == some[1].tobytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "as JSON"),
        ("[]", "a model in format 4"),
        ('{"format": 5, "model": {}}', "in format 4 or an earlier one, found 5"),
        ('{"format": 1, "model": {}, "x": 1}', "format and model"),
        ('{"format": 1, "format": 1, "model": {}}', "twice"),
        ('{"format": 1, "model": NaN}', "expected"),
        ('{"format": 1, "model": ' + "[" * 100_000 + "]" * 100_000 + "}", "expected"),
        (
            '{"format": 1, "model": {"class": "Fusion"}}',
            "expected 'HybridClassifier' at model.class",
        ),
        ("\ud800", "as JSON"),
    ],
)
def test_a_damaged_structure_is_refused(
    text: str, message: str, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    path.with_suffix(".npz").write_bytes(saved("svm").with_suffix(".npz").read_bytes())
    with pytest.raises(RunError, match=message):
        load_model(path, HybridClassifier)

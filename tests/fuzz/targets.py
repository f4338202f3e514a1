"""What `make fuzz` and the gate feed with mutated files: one function of bytes for each kind of file.

Each raises if the library does anything with the bytes but read them, or say in an error of its own that it
cannot. Seeds are made here; inputs that once failed are files in `corpus/TARGET/`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

CORPUS = Path(__file__).with_name("corpus")


class Target(NamedTuple):
    """A kind of file.

    Parameters
    ----------
    feed : function of bytes
    seeds : list of bytes
        Sound files.
    tokens : tuple of bytes
        What mutations put into them.
    counts : mapping of str to int
        What came of the inputs, so far.
    seconds : float, default=5
        That an input may take.
    """

    feed: Callable[[bytes], None]
    seeds: list[bytes]
    tokens: tuple[bytes, ...]
    counts: Mapping[str, int] = {}
    seconds: float = 5

    def corpus(self, name: str) -> list[bytes]:
        """The seeds, and the inputs that once failed."""
        return [*self.seeds, *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]


REFUSED: list[str] = []  # why inputs were refused, for the test that sound ones are not


@contextlib.contextmanager
def refusals_allowed() -> Iterator[None]:
    """Let the library refuse: by its own errors, and with warnings."""
    from hybrid.errors import HybridError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except HybridError as error:
            REFUSED[:] = [*REFUSED[-20:], str(error)]


def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="hybrid-fuzz-")
    _KEPT.append(folder)  # removed when the process ends
    return Path(folder.name)


_KEPT: list[tempfile.TemporaryDirectory[str]] = []


def image() -> Target:
    """Posters: headers, pixels, perceptual hashes."""
    from PIL import Image

    from hybrid.images.decode import BadPoster, decode_poster, image_header
    from hybrid.images.perceptual_hash import perceptual_hash

    def feed(data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image_header(data)
            found = decode_poster(data, (32, 24))
            if isinstance(found, BadPoster):
                REFUSED[:] = [*REFUSED[-20:], found.reason]
                return
            assert (found.shape, found.dtype) == ((32, 24, 3), np.uint8)
            perceptual_hash(data)

    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    picture = Image.fromarray(np.repeat(pixels, 2, axis=0))
    seeds = []
    for kind, options in [
        ("JPEG", {"quality": 70}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
    ]:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        seeds.append(file.getvalue())
    tokens = (
        b"\xff\xd8",
        b"\xff\xd9",
        b"\xff\xda",
        b"IHDR",
        b"IDAT",
        b"\xff\xff\xff\x7f",
        b"VP8X",
        b"II*\0",
    )
    return Target(feed, seeds, tokens)


SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx", ".csv.gz")


def catalogue() -> Target:
    """Catalogues; the first byte chooses the format."""
    import gzip

    import pandas as pd

    from hybrid.catalogue import load_catalogue
    from hybrid.catalogue.check import tell_shared_texts

    folder = _folder()

    def feed(data: bytes) -> None:
        path = folder / f"films{SUFFIXES[data[0] % len(SUFFIXES) if data else 0]}"
        path.write_bytes(data[1:])
        with refusals_allowed():
            found = load_catalogue(path)
            assert found.labels.shape == (len(found), len(found.genres))
            assert len(set(found.ids.tolist())) == len(found) == len(found.poster_paths)
            tell_shared_texts(found)

    table = pd.DataFrame(
        {
            "id": [f"tt{i}" for i in range(12)],
            "title": ["Heat", "Lock, Stock", 'She "said"', "Two\nlines"] * 3,
            "overview": ["a night in the city", "the road; a river", "", "war"] * 3,
            "genres": ["Drama|War", "Comedy", "[{'id': 18, 'name': 'Drama'}]", ""] * 3,
            "year": ["1995", "1998", "13,634", "n/a"] * 3,
            "poster": ["a.jpg", "https://x.y/b.jpg", "", "c/d.png"] * 3,
        }
    )
    text = table.to_csv(index=False).encode()
    excel, parquet = io.BytesIO(), io.BytesIO()
    table.to_excel(excel, index=False)
    table.to_parquet(parquet)
    contents = [
        text,
        table.to_csv(index=False, sep="\t").encode(),
        table.to_json(orient="records", lines=True).encode(),
        table.to_json(orient="records").encode(),
        parquet.getvalue(),
        excel.getvalue(),
        gzip.compress(text),
        text.decode().encode("utf-16"),
    ]
    seeds = [bytes([i % len(SUFFIXES)]) + content for i, content in enumerate(contents)]
    seeds[-1] = b"\0" + contents[-1]
    seeds += [bytes([3]) + table.to_json(orient=way).encode() for way in ("split", "columns")]
    tokens = (
        b'"',
        b"\n",
        b"\r",
        b",",
        b";",
        b"\0",
        b"\xff",
        b"\xed\xa0\xbd",
        b'"\\ud83d"',
        b"[" * 500,
    )
    return Target(
        feed, seeds, (*tokens, b"1e999", b"NaN", b'{"id":', b"=1+1", b"\xef\xbb\xbf", b"PAR1")
    )


def run_record() -> Target:
    """The record of a run."""
    from hybrid.catalogue_types import Columns
    from hybrid.runs.record import RECORD, RunRecord
    from hybrid.runs.record_parts import CatalogueRecord

    folder = _folder()

    def feed(data: bytes) -> None:
        (folder / RECORD).write_bytes(data)
        with refusals_allowed():
            RunRecord.read(folder).to_json()

    RunRecord().write(folder)
    small = (folder / RECORD).read_bytes()
    columns = Columns("id", None, "genres", "|", ("title",), ("year",), (), ())
    made_from = CatalogueRecord("catalogue.csv", "0" * 64, columns, 3, 3, 0)
    RunRecord(kind="head", catalogue=made_from, genres=("Drama", "War")).write(folder)
    record = (folder / RECORD).read_bytes()
    tokens = (
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"-1",
        b"1e999",
        b"NaN",
        b'"\\ud83d"',
        b"[" * 500,
    )
    return Target(feed, [small, record], (*tokens, b'"format": 99', b'"../x"', b"\0", b"\xff"))


def model() -> Target:
    """Fitted models: the structure, and behind it the archive of the arrays."""
    from hybrid.heads import HybridClassifier
    from hybrid.model_file import load_model

    path = _folder() / "model.json"
    golden = Path(__file__).parents[1] / "golden/models"

    def feed(data: bytes) -> None:
        structure, _, arrays = data.partition(b"\0\0\0")
        path.write_bytes(structure)
        path.with_suffix(".npz").write_bytes(arrays)
        with refusals_allowed():
            assert isinstance(load_model(path, HybridClassifier), HybridClassifier)

    def seed(name: str) -> bytes:
        made = golden / f"{name}.json"
        return made.read_bytes() + b"\0\0\0" + made.with_suffix(".npz").read_bytes()

    tokens = (
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"-1",
        b"9223372036854775807",
        b"1e999",
        b"NaN",
        b'"object"',
        b'"dict"',
        b'"class":"Fusion"',
        b"[" * 500,
        b"\x80\x04cposix\nsystem\n",
        b"\0\0\0",
    )
    return Target(feed, [seed(name) for name in ("svm", "forest", "boosting", "svc-rbf")], tokens)


def predictions() -> Target:
    """Tables of predictions, ours and others'."""
    from hybrid.runs.predictions_file import read_predictions

    path = _folder() / "predictions.csv"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        with refusals_allowed():
            found = read_predictions(path)
            assert (
                found.labels.shape
                == found.probabilities.shape
                == (len(found.ids), len(found.genres))
            )

    text = (
        b'id,split,genres,p:Drama,p:War\na,test,Drama|War,0.5,1\nb,train,,0.1,\n"c,d",,War,0,0.9\n'
    )
    tokens = (
        b'"',
        b"\n",
        b",",
        b"|",
        b"p:",
        b"nan",
        b"inf",
        b"-1",
        b"1e999",
        b"\0",
        b"\xff",
        b"=1",
    )
    return Target(feed, [text, text.replace(b"\n", b"\r\n")], tokens)


def split() -> Target:
    """Splits, and the record of how one was made."""
    from hybrid.splitting.split_file import method_file, read_split

    path = _folder() / "splits.csv"

    def feed(data: bytes) -> None:
        table, _, method = data.partition(b"\0\0")
        path.write_bytes(table)
        method_file(path).write_bytes(method)
        with refusals_allowed():
            read_split(path)

    text = b"id,split\na,train\nb,validation\nc,test\n"
    method = (
        b'{"sha256": "%s", "method": "random", "seed": 0, "shares": [0.7, 0.1, 0.2], "group_columns": []}'
        % hashlib.sha256(text).hexdigest().encode()
    )
    tokens = (b'"', b"\n", b",", b"train", b"\0\0", b"null", b"[]", b"1e999", b"\xff", b"id,")
    return Target(feed, [text, text + b"\0\0" + method], tokens)


def weights() -> Target:
    """Files of weights: HDF5 of Keras 2 and 3, and archives."""
    import zipfile

    import h5py

    from hybrid.backbones.weightfile import open_weights, read_layers, read_provenance

    path = _folder() / "net.weights.h5"

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        if not data.startswith(b"PK"):
            with refusals_allowed():
                read_layers(path)
        with refusals_allowed(), open_weights(path, 1 << 16) as saved:
            assert saved.path.stat().st_size <= max(len(data), 1 << 26)
        with refusals_allowed():
            read_provenance(path)

    def hdf5(fill: Callable[[h5py.File], None]) -> bytes:
        memory = io.BytesIO()
        with h5py.File(memory, "w") as file:
            fill(file)
        return memory.getvalue()

    def keras3(file: h5py.File) -> None:
        file["layers/dense/vars/0"] = np.ones((4, 2), dtype=np.float32)
        file["layers/dense/vars/1"] = np.zeros(2, dtype=np.float32)

    def keras2(file: h5py.File) -> None:
        file.attrs["layer_names"] = [b"dense"]
        file["dense/dense/kernel:0"] = np.ones((4, 2), dtype=np.float32)
        file["dense"].attrs["weight_names"] = [b"dense/kernel:0"]

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("config.json", "{}")
        packed.writestr("model.weights.h5", hdf5(keras3))
    tokens = (
        b"\x89HDF\r\n\x1a\n",
        b"\xff" * 8,
        b"\0" * 8,
        b"TREE",
        b"SNOD",
        b"OHDR",
        b"PK\x03\x04",
        b"../x",
    )
    return Target(feed, [hdf5(keras3), hdf5(keras2), archive.getvalue()], tokens)


def cache() -> Target:
    """Files of a cache; the first byte chooses which. A row that is given is the one that was stored."""
    from hybrid.cache import EmbeddingCache, compact
    from hybrid.cache.verified_files import forget_hashes
    from hybrid.cache.verify import verify

    keys = [hashlib.sha256(bytes([i])).digest() for i in range(12)]
    rows = np.stack([np.frombuffer(key[:8], dtype=np.uint8) for key in keys]).astype(np.float32)
    sound, broken = _folder() / "cache", _folder() / "cache"
    stands_for = {"architecture": "test", "dimension": 8, "dtype": "float16"}
    store = EmbeddingCache(sound).make(stands_for)
    store.append(keys[:4], rows[:4])
    store.append(keys[4:8], rows[4:8])
    compact(store)
    store.append(keys[8:], rows[8:])
    store.append_failures({b"\1" * 32: "too small"})
    files = sorted(path.relative_to(sound) for path in sound.rglob("*") if path.is_file())

    def feed(data: bytes) -> None:
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(sound, broken)
        (broken / files[data[0] % len(files) if data else 0]).write_bytes(data[1:])
        forget_hashes()
        with refusals_allowed():
            verify(EmbeddingCache(broken))
        with refusals_allowed():
            there = EmbeddingCache(broken).make(stands_for)
            stored = [key for key, has in zip(keys, there.has(keys), strict=True) if has]
            if stored:
                wanted = rows[[keys.index(key) for key in stored]]
                assert np.array_equal(there.read(stored), wanted)

    seeds = [bytes([i]) + (sound / file).read_bytes() for i, file in enumerate(files)]
    tokens = (
        b"{}",
        b"null",
        b"[]",
        b'"format": 99',
        b"\xff" * 4,
        b"\0" * 8,
        b"-1",
        b"[" * 500,
        b"../x",
    )
    return Target(feed, seeds, tokens)


def shards() -> Target:
    """Sparse shards; the first byte chooses the index, a shard, or a shard with hash and index to match."""
    from scipy import sparse

    from hybrid.features import sparse_shards
    from hybrid.features.sparse_shards import INDEX, SparseShards, write_shards

    folder = _folder() / "shards"
    rows = sparse.csr_matrix(np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4]], np.float32))
    written = write_shards(folder, [rows], 4)
    index, shard = (folder / INDEX).read_bytes(), written.shards[0]
    sound = (folder / shard.file).read_bytes()

    def feed(data: bytes) -> None:
        which, content = data[:1], data[1:]
        name = sparse_shards.shard_name(content) if which == b"2" else shard.file
        if which == b"2":
            named = {"file": name, "rows": shard.rows, "entries": shard.entries}
            said = sparse_shards._seal({"format": 1, "columns": 4, "shards": [named]})
        else:
            said = content if which == b"0" else index
        (folder / INDEX).write_bytes(said)
        (folder / name).write_bytes(sound if which == b"0" else content)
        with refusals_allowed():
            found = SparseShards(folder)[:]
            found.check_format(full_check=True)
            assert which == b"2" or (found != rows).nnz == 0
        if name != shard.file:
            (folder / name).unlink()

    tokens = (b"\0" * 8, b"\xff" * 4, b"-1", b"null", b"[]", b"1e999", b"../x", b'"rows": 9')
    return Target(feed, [b"0" + index, b"1" + sound, b"2" + sound], tokens)


def tar() -> Target:
    """Tar files of posters; after a first byte of 1 the checksums of the headers are made to match."""
    import tarfile

    from hybrid.images.references import MemberReference
    from hybrid.images.tar_members import read_member

    names = {"1.jpg": b"one" * 200, "n" * 200 + ".jpg": b"two", "é.jpg": b"three" * 300}
    path = _folder() / "shard.tar"

    def sealed(data: bytes) -> bytes:
        content = bytearray(data)
        for at in range(0, len(content) - 511, 512):
            if content[at + 257 : at + 262] == b"ustar":
                content[at + 148 : at + 156] = b" " * 8
                content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
        return bytes(content)

    def feed(data: bytes) -> None:
        content = sealed(data[1:]) if data[:1] == b"1" else data[1:]
        path.unlink(missing_ok=True)  # else the same file might be written within one tick
        path.write_bytes(content)
        for name in names:
            found = read_member(MemberReference(str(path), name))
            assert isinstance(found, str) or not found or found in content

    seeds = []
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=kind) as packed:
            for name, data in names.items():
                member = tarfile.TarInfo(name if kind != tarfile.USTAR_FORMAT else name[-99:])
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))
        seeds += [which + file.getvalue() for which in (b"0", b"1")]
    tokens = (b"\0" * 12, b"\xff" * 12, b"\x80" + b"\0" * 10 + b"\1", b"77777777777", b" size=-1\n",
              b"x", b"g", b"L", b"S", b"1", b"ustar\0", b"GNU.sparse.major=1\n")  # fmt: skip
    return Target(feed, seeds, tokens)


def _run_folder(made: str) -> Target:
    """Whole run folders; the bytes choose what is changed in one, and which commands read it."""
    if str(CORPUS.parent) not in sys.path:
        sys.path.insert(0, str(CORPUS.parent))
    import run_folders

    target = getattr(run_folders, made)(_folder() / "runs")
    return Target(target.feed, [b"0", b"1"], (b"2", b"3"), run_folders.COUNTS, 120)


TARGETS: dict[str, Callable[[], Target]] = {
    "image": image,
    "catalogue": catalogue,
    "run-record": run_record,
    "model": model,
    "predictions": predictions,
    "split": split,
    "weights": weights,
    "cache": cache,
    "shards": shards,
    "tar": tar,
    "run-folder": functools.partial(_run_folder, "quick"),
}
# Too long for the gate: to make the runs takes a minute.
MORE = {"every-run-folder": functools.partial(_run_folder, "every")}

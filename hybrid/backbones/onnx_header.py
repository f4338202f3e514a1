"""What an ONNX file says about itself: inputs, outputs, metadata. Nothing of it is loaded or executed.

The file is a protocol buffer (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Only the fields that
are needed are read; weights are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, open_file

# Numbers of fields, as onnx.proto has them.
_MODEL = {"graph": 7, "metadata": 14, "opset": 8}
_GRAPH = {"node": 1, "initializer": 5, "input": 11, "output": 12, "sparse": 15}
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_TYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
DEEPEST = 8  # graphs within graphs
LONGEST = 2**20  # bytes of a name or a value of the metadata
MOST = 2_000_000  # fields

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxTensor:
    """An input or output: its name, data type, and shape with None for sizes that are left open.

    Examples
    --------
    >>> str(OnnxTensor("pixel_values", "float32", (None, 3, 224, 224)))
    'pixel_values (?, 3, 224, 224), float32'
    """

    name: str
    dtype: str
    shape: Shape

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({sizes}), {self.dtype}"


@dataclass
class OnnxHeader:
    """What an ONNX file says about itself.

    Parameters
    ----------
    inputs, outputs : list of OnnxTensor
        Without those inputs that are weights.
    metadata : dict of str to str
    parameters : int
        Number of weights.
    """

    inputs: list[OnnxTensor] = field(default_factory=list)
    outputs: list[OnnxTensor] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    parameters: int = 0


def read_onnx_header(path: str | Path) -> OnnxHeader:
    """Read inputs, outputs and metadata of an ONNX file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    OnnxHeader

    Raises
    ------
    WeightsError
        If there is no such file, it is no ONNX file, or has weights in another one.
    """
    path = Path(path)
    try:
        with open_file(path, WEIGHTS) as file:
            size = file.seek(0, 2)
            return _Reader(file, path).model(size)
    except OSError as error:
        raise WeightsError(
            f"{path}: expected an ONNX file, found: {error.strerror or error}."
        ) from error


class _Reader:
    """Reads the fields of a protocol buffer where they stand, without their contents."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path, self.read = file, path, 0

    def model(self, size: int) -> OnnxHeader:
        header, weights, graphs = OnnxHeader(), set[str](), 0
        for number, kind, start, length in self.fields(0, size):
            if kind == _BYTES and number == _MODEL["metadata"]:
                name, value = self._pair(start, length)
                header.metadata[name] = value
            elif kind == _BYTES and number == _MODEL["graph"]:
                graphs += 1
                self.graph(header, weights, start, length, 0)
        if graphs != 1 or not header.inputs or not header.outputs:
            raise self._damaged("no graph with inputs and outputs")
        header.inputs = [each for each in header.inputs if each.name not in weights]
        return header

    def graph(
        self, header: OnnxHeader, weights: set[str], start: int, length: int, depth: int
    ) -> None:
        if depth > DEEPEST:
            raise self._damaged(f"graphs nested more than {DEEPEST} deep")
        for number, kind, at, size in self.fields(start, length):
            if kind != _BYTES:
                continue
            if number == _GRAPH["initializer"]:
                name, count = self._tensor(at, size)
                weights.add(name)
                header.parameters += count
            elif number == _GRAPH["sparse"]:
                self._messages(header, weights, at, size, {1: "t", 2: "t"}, depth)
            elif number == _GRAPH["node"]:
                self._messages(header, weights, at, size, {5: "attribute"}, depth)
            elif number in (_GRAPH["input"], _GRAPH["output"]) and not depth:
                there = header.inputs if number == _GRAPH["input"] else header.outputs
                there.append(self._value_info(at, size))

    def _messages(
        self,
        header: OnnxHeader,
        weights: set[str],
        start: int,
        length: int,
        wanted: dict[int, str],
        depth: int,
    ) -> None:
        """Tensors and graphs that stand in a node: they count, and may name other files, as well."""
        for number, kind, at, size in self.fields(start, length):
            what = wanted.get(number) if kind == _BYTES else None
            if what == "attribute":
                inside = {5: "t", 6: "g", 10: "t", 11: "g", 22: "sparse", 23: "sparse"}
                self._messages(header, weights, at, size, inside, depth)
            elif what == "sparse":
                self._messages(header, weights, at, size, {1: "t", 2: "t"}, depth)
            elif what == "t":
                header.parameters += self._tensor(at, size)[1]
            elif what == "g":
                self.graph(header, weights, at, size, depth + 1)

    def _tensor(self, start: int, length: int) -> tuple[str, int]:
        """Name and number of values of a tensor; those of another file are refused."""
        name, sizes = "", list[int]()
        for number, kind, at, size in self.fields(start, length):
            if number == 1:
                sizes += [size] if kind == _VARINT else self._packed(at, size)
            elif number == 8 and kind == _BYTES:
                name = self._text(at, size)
            elif number == 13 or (number == 14 and size):  # external_data, data_location
                raise WeightsError(
                    f"{self.path}: expected an ONNX file that holds its weights itself, found some of them "
                    "in another file (external data). Save it in one file: onnx.save_model(onnx.load(FILE), "
                    "NEW), of the package onnx."
                )
        return name, math.prod(sizes)

    def _packed(self, start: int, length: int) -> list[int]:
        self.file.seek(start)
        found = []
        while self.file.tell() < start + length:
            found.append(self._varint())
        return found

    def _value_info(self, start: int, length: int) -> OnnxTensor:
        name, dtype, shape = "", "unknown", list[int | None]()
        for number, kind, at, size in self.fields(start, length):
            if number == 1 and kind == _BYTES:
                name = self._text(at, size)
            elif number == 2 and kind == _BYTES:  # TypeProto, of which 1 is a tensor
                for which, inner, there, long in self.fields(at, size):
                    if which == 1 and inner == _BYTES:
                        dtype, shape = self._tensor_type(there, long)
        return OnnxTensor(name, dtype, tuple(shape))

    def _tensor_type(self, start: int, length: int) -> tuple[str, list[int | None]]:
        dtype, shape = "unknown", list[int | None]()
        for number, kind, at, size in self.fields(start, length):
            if number == 1 and kind == _VARINT:
                dtype = _TYPES.get(size, "another type")
            elif number == 2 and kind == _BYTES:
                for which, inner, there, long in self.fields(at, size):
                    if which == 1 and inner == _BYTES:  # a dimension
                        sizes = [v for n, k, _, v in self.fields(there, long) if (n, k) == (1, 0)]
                        shape.append(sizes[0] if sizes and sizes[0] > 0 else None)
        return dtype, shape

    def _pair(self, start: int, length: int) -> tuple[str, str]:
        found = {n: self._text(at, size) for n, k, at, size in self.fields(start, length) if k == 2}
        return found.get(1, ""), found.get(2, "")

    def _text(self, start: int, length: int) -> str:
        if length > LONGEST:
            raise self._damaged(f"a text of {length:,} bytes")
        self.file.seek(start)
        return self.file.read(length).decode("utf-8", "replace")

    def fields(self, start: int, length: int) -> Iterator[tuple[int, int, int, int]]:
        """Number, kind, start and length of each field; instead of the length, the value of an integer."""
        at, end = start, start + length
        while at < end:
            self.read += 1
            if self.read > MOST:
                raise self._damaged(f"more than {MOST:,} fields")
            self.file.seek(at)
            tag = self._varint()
            number, kind = tag >> 3, tag & 7
            size = {_EIGHT: 8, _FOUR: 4}.get(kind, 0)
            if kind in (_VARINT, _BYTES):
                size = self._varint()
            elif kind not in (_EIGHT, _FOUR):
                raise self._damaged(f"a field of kind {kind}")
            inside = self.file.tell()
            at = inside if kind == _VARINT else inside + size
            if at > end or number == 0:
                raise self._damaged("a field that ends beyond its message")
            yield number, kind, inside, size

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.file.read(1)
            if not byte or shift > 63:
                raise self._damaged("an integer without an end")
            value |= (byte[0] & 127) << shift
            if byte[0] < 128:
                return value
            shift += 7

    def _damaged(self, found: str) -> WeightsError:
        return WeightsError(
            f"{self.path}: expected an ONNX file, found {found}. Is it another file, or damaged? Export it "
            "again."
        )

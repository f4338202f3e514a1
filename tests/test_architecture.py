"""The house: who may import whom, and where a library may be used."""

from __future__ import annotations

import ast
import configparser
import functools
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"hybrid": ROOT / "hybrid", "hybrid.cache": ROOT / "cache", "hybrid.cli": ROOT / "cli"}

# From the ground up: a package imports only from those before it, or from itself.
LAYERS = [
    ("errors", "catalogue_types", "embedding_types", "split_types", "types", "_version"),
    ("remote",),
    ("utils",),
    ("cluster",),
    ("evaluation", "images", "catalogue", "datasets"),
    ("cache", "backbones"),
    ("text_encoders",),
    ("extraction",),
    ("features",),
    ("duplicates", "splitting", "audit"),
    ("heads",),
    ("model_file",),
    ("deep",),
    ("tuning",),
    ("explain",),
    ("runs", "studies"),
    ("report",),
    ("inspection",),
    ("demo", "cli", "__main__"),
]
LEVEL = {name: level for level, name in enumerate(name for names in LAYERS for name in names)}

# Library → modules that may use it (a name ending in "." means: all below).
ONLY_IN = {
    "click": ("hybrid.cli.",),
    # MM-IMDb is published as an HDF5 file.
    "h5py": (
        *("hybrid.cache.", "hybrid.backbones.weightfile", "hybrid.backbones.weight_arrays"),
        "hybrid.catalogue.importers.mm_imdb_hdf5",
    ),
    "keras": ("hybrid.backbones.", "hybrid.text_encoders.", "hybrid.deep.", "hybrid.tuning."),
    "tensorflow": ("hybrid.backbones.backend",),
    "jax": ("hybrid.backbones.backend",),
    "torch": ("hybrid.backbones.backend",),
    "openvino": (
        *("hybrid.backbones.openvino_engine", "hybrid.backbones.onnx_openvino"),
        "hybrid.text_encoders.openvino_engine",
    ),
    "onnxruntime": ("hybrid.backbones.onnx_runtime",),
    "keras_hub": ("hybrid.backbones.hub_network",),
    "kagglehub": ("hybrid.backbones.hub_network",),
    "safetensors": ("hybrid.text_encoders.arrays",),
    "tokenizers": ("hybrid.text_encoders.tokens",),
    "huggingface_hub": ("hybrid.text_encoders.registry",),
    "python_calamine": ("hybrid.catalogue.readers.excel_process",),
    "pooch": ("hybrid.backbones.download",),
    "pillow_heif": ("hybrid.images.formats",),
    "httpx": ("hybrid.catalogue.download.",),
    "requests": ("hybrid.backbones.download",),
    "distributed": ("hybrid.cluster.",),
    "dask": ("hybrid.cluster.",),
    "cryptography": ("hybrid.cluster.connection",),
    **dict.fromkeys(("fsspec", "s3fs", "gcsfs", "aiohttp", "botocore"), ("hybrid.remote.",)),
    "numba": ("hybrid.utils.jit",),
    "jinja2": ("hybrid.report.",),
    "matplotlib": ("hybrid.report.",),
    "tqdm": ("hybrid.utils.progress",),
    "regex": ("hybrid.utils.scripts",),
    "icu4py": ("hybrid.utils.dictionary_words",),
}


# Calls that open what their first argument names. With "" before the dot, of any object.
READERS = {
    *(
        "open",
        ".open",
        "os.open",
        "io.open",
        ".read_text",
        ".read_bytes",
        "json.load",
        "pickle.load",
    ),
    *(
        "np.load",
        "np.fromfile",
        "np.memmap",
        "np.loadtxt",
        "np.genfromtxt",
        "h5py.File",
        "h5py.is_hdf5",
    ),
    *("pd.read_csv", "pd.read_parquet", "pd.read_json", "pd.read_excel", "pd.read_pickle"),
    *(
        ".ParquetFile",
        "ParquetFile",
        "open_parquet",
        ".read_table",
        ".OSFile",
        ".memory_map",
        ".read_model",
    ),
    *(".load_weights", ".load_model", "joblib.load", "Image.open", "gzip.open", "gzip.GzipFile"),
    *("zipfile.ZipFile", "zipfile.is_zipfile", "tarfile.open", "shutil.copy", "shutil.copyfile"),
    *(".from_filelike", ".from_path", "ET.parse"),
}
OPENERS = {"open_file", "open_text", "checked", "open_regular", "read_bytes"}
# Modules that open files in another way, and why.
OPENS_ITSELF = {
    "hybrid.utils.reading": "the way",
    "hybrid.utils.unpacking": "unpacks what is open",
    "hybrid.utils.files": "writes, syncs and locks",
    "hybrid.utils.writable": "makes a file without a name",
}
# Calls that only look as if they opened a file by its name, and why.
OPENS_NO_FILE = {
    ("hybrid.report.external", "pd.read_csv(content)"): "open already",
    ("hybrid.cache.verified_files", "h5py.File(file)"): "open already",
    ("hybrid.utils.parquet", "pyarrow.parquet.ParquetFile(content)"): "open already, or checked",
    ("hybrid.cli.start", "os.open(os.devnull)"): "in the place of a closed stream",
    ("hybrid.catalogue.download.ledger", "self.journal.open('ab')"): "was read before",
    ("hybrid.catalogue.importers.importing", "importer.open(source)"): "checks when it reads",
    ("hybrid.images.formats", "Image.open(CountedBytes(data))"): "in memory",
    ("hybrid.images.formats", "Image.open(CountedBytes(without_exif(data)))"): "in memory",
    ("hybrid.deep.baseline", "self.network_.load_weights(self.starting_weights())"): "a Weights",
    ("hybrid.tuning.poster_encoder", "self.network.load_weights(weights)"): "a Weights",
}
MEMBERS = ("archive.open", "members.open", "book.open", "source.open", "self.source.open")


def modules() -> dict[str, Path]:
    """Module name → file, as installed."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            # The links hybrid/cache and hybrid/cli would be counted twice.
            if package == "hybrid" and parts[0] in ("cache", "cli"):
                continue
            name = ".".join((package, *parts)).removesuffix(".__init__")
            found[name] = path
    return found


MODULES = modules()


class Facts(NamedTuple):
    """What a file imports anywhere in it, the names that it takes from modules, and its calls of np.load."""

    imports: frozenset[str]
    taken: frozenset[str]
    loads: tuple[ast.Call, ...]


@functools.cache
def facts(path: Path) -> Facts:
    """Parse a file once for several tests."""
    names, taken, loads = set(), set(), []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(str(node.module))
            taken |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and dotted(node.func) == "np.load":
            loads.append(node)
    return Facts(frozenset(names), frozenset(taken), tuple(loads))


def imports(path: Path) -> frozenset[str]:
    """All modules that a file imports, anywhere in it."""
    return facts(path).imports


def place(module: str) -> str:
    """`hybrid.heads.classifier` → `heads`."""
    return [*module.split("."), ""][1]


def test_every_package_is_installed() -> None:
    """setup.cfg names each, since two of them lie beside the others; in a checkout a missing one works."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    named = config["options"]["packages"].split()
    places = {"hybrid": "hybrid", "cache": "hybrid.cache", "cli": "hybrid.cli"}
    found = {
        ".".join((package, *path.parent.relative_to(ROOT / folder).parts))
        for folder, package in places.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert sorted(named) == sorted(found)


def test_every_package_has_a_layer() -> None:
    places = {place(name) for name in MODULES if place(name)}
    assert places == set(LEVEL)


@pytest.mark.parametrize("name", sorted(name for name in MODULES if place(name)))
def test_imports_go_downwards(name: str) -> None:
    for imported in imports(MODULES[name]):
        assert imported.split(".")[0] not in ("cache", "cli"), f"write hybrid.{imported}"
        if imported.startswith("hybrid.") and place(imported) != place(name):
            assert LEVEL[place(imported)] < LEVEL[place(name)], f"{name} imports {imported}"


def test_no_cycles() -> None:
    """Also not by way of an import inside a function; the faces of packages aside."""
    graph = {}
    for name, path in MODULES.items():
        if path.stem != "__init__":
            graph[name] = {i for i in imports(path) | facts(path).taken if i != name}
    modules = {name: found & set(graph) for name, found in graph.items()}
    assert list(graphlib.TopologicalSorter(modules).static_order())  # CycleError says where


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_library_stays_in_its_place(library: str) -> None:
    allowed = ONLY_IN[library]
    for name, path in MODULES.items():
        if any((name + ".").startswith(a) if a.endswith(".") else name == a for a in allowed):
            continue
        used = {imported.split(".")[0] for imported in imports(path)}
        assert library not in used, f"{name} imports {library}"


def dotted(node: ast.expr) -> str:
    """`a.b.c` → the same; what is no chain of names → an empty name before the dot."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_open(node: ast.expr, opened: set[str]) -> bool:
    """Whether an expression is an open file, or the path of a checked one."""
    names = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
    return bool(names & (opened | OPENERS)) or "io.BytesIO" in {
        dotted(child.func) for child in ast.walk(node) if isinstance(child, ast.Call)
    }


def is_written(call: ast.Call) -> bool:
    """Whether a file is opened to be written from its start, or made."""
    given = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [arg.value for arg in given if isinstance(arg, ast.Constant)]
    return any(isinstance(mode, str) and mode[:1] in ("w", "x") for mode in modes)


def bound_to_open_files(tree: ast.AST) -> set[str]:
    """Names that stand for open files: ``with open_file(…) as file``, ``content = io.BytesIO(…)``."""
    found: set[str] = set()
    for node in ast.walk(tree):
        value: ast.expr | None = None
        if isinstance(node, ast.withitem):
            value, target = node.context_expr, node.optional_vars
        elif isinstance(node, ast.Assign):
            value, target = node.value, node.targets[0]
        if isinstance(value, ast.Call) and isinstance(target, ast.Name):
            named = dotted(value.func)
            if named in {*OPENERS, "io.BytesIO", "io.StringIO", *MEMBERS}:
                found.add(target.id)
    return found


def test_files_are_opened_in_one_way() -> None:
    """Anything else would wait for a pipe, or read a device for ever."""
    wrong, exceptions = [], set()
    for name, path in MODULES.items():
        if name in OPENS_ITSELF:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        opened = bound_to_open_files(tree)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            named = dotted(call.func)
            if not {named, f".{named.rpartition('.')[2]}" if "." in named else named} & READERS:
                continue
            given = [*call.args, *(word.value for word in call.keywords if word.arg == "fileobj")]
            first = given[0] if given else None
            if named in MEMBERS or is_written(call) or (first and is_open(first, opened)):
                continue
            said = f"{named}({ast.unparse(first) if first else ''})"
            if (name, said) in OPENS_NO_FILE:
                exceptions.add((name, said))
            else:
                wrong.append(f"{path.name}:{call.lineno}: {said}")
    assert not wrong, "use hybrid.utils.reading"
    assert exceptions == set(OPENS_NO_FILE)


# What opens pickles, or makes code of data → modules that may use it.
OPENS_PICKLES = {
    "pickle": (
        "hybrid.catalogue.importers.mm_imdb_hdf5",  # only words and numbers, says its class
        "hybrid.cluster.blocks",  # of workers that run this program's code in any case
        "hybrid.cluster.worker",
    ),
    "joblib.load": ("hybrid.runs.convert",),  # hybrid convert --allow-pickle
    **dict.fromkeys(("joblib.dump", "cloudpickle", "dill", "shelve", "marshal", "skops"), ()),
    **dict.fromkeys(
        (
            "pandas.read_pickle",
            "pandas.to_pickle",
            "builtins.eval",
            "builtins.exec",
            "builtins.__import__",
        ),
        (),
    ),
    **dict.fromkeys(("torch.load", "keras.models.load_model", "keras.saving.load_model"), ()),
}


@functools.cache
def uses(path: Path) -> set[str]:
    """Names that a file imports or uses, with the names of their modules."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    known = {"np": "numpy", "pd": "pandas"}
    found = set(imports(path) | facts(path).taken)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            first = name.split(".")[0]
            found |= {known.get(first, first) + name[len(first) :], f"pandas.{node.attr}"}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(f"builtins.{node.func.id}")
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) in ("False", "allow_pickle"), path
    return found


@pytest.mark.parametrize("what", OPENS_PICKLES)
def test_pickles_are_opened_by_the_conversion_alone(what: str) -> None:
    for name, path in MODULES.items():
        if name not in OPENS_PICKLES[what]:
            assert what not in uses(path), f"{name} uses {what}"


# Parses JSON by itself: the place for it; strings alone; what hybrid wrote a moment ago; errors are caught.
PARSES_JSON = {
    "hybrid.utils.strict_json",
    "hybrid.catalogue.lists",
    "hybrid.catalogue.importers.disk_index",
    "hybrid.catalogue.readers.excel_process",
    "hybrid.deep.checkpoint",
    "hybrid.extraction.decode_process",
    "hybrid.extraction.decoding_processes",
    "hybrid.catalogue.importers.records",
}


def test_json_is_parsed_in_one_way() -> None:
    """A hundred thousand brackets are a RecursionError of the standard library, which nobody expects."""
    found = {name for name, path in MODULES.items() if {"json.loads", "json.load"} & uses(path)}
    assert found <= PARSES_JSON, "use hybrid.utils.reading.parse_json"


def test_numpy_loads_no_pickles() -> None:
    """Its default; but a reader has to see it."""
    for name, path in MODULES.items():
        for call in facts(path).loads:
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert given.get("allow_pickle") == "False", name


def test_no_module_is_too_long() -> None:
    lengths = {n: len(p.read_text(encoding="utf-8").splitlines()) for n, p in MODULES.items()}
    # The sample is mostly tables of words and colours.
    assert not {n: k for n, k in lengths.items() if k > 400 and n != "hybrid.datasets.sample"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit-svm", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from hybrid.cli.main import _run\n"
        f"assert _run({arguments!r}) == 0\n"
        "heavy = {'keras', 'tensorflow', 'pandas', 'sklearn', 'scipy', 'h5py', 'PIL'}\n"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_a_benchmark_imports_what_there_is(path: Path) -> None:
    """Nothing else would tell, until someone runs it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hybrid":
            module = importlib.import_module(node.module or "")
            gone = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not gone, f"{path.name} imports {gone} from {node.module}"

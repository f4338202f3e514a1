"""The house: who may import whom, and where a library may be used."""

from __future__ import annotations

import ast
import functools
import graphlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"hybrid": ROOT / "hybrid", "hybrid.cache": ROOT / "cache", "hybrid.cli": ROOT / "cli"}

# From the ground up: a package imports only from those before it, or from itself.
LAYERS = [
    ("errors", "catalogue_types", "split_types", "types", "_version"),
    ("utils",),
    ("evaluation", "images", "catalogue", "datasets"),
    ("cache", "backbones"),
    ("extraction",),
    ("features",),
    ("duplicates", "splitting", "audit"),
    ("heads",),
    ("deep",),
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
    "keras": ("hybrid.backbones.", "hybrid.deep."),
    "tensorflow": ("hybrid.backbones.backend",),
    "jax": ("hybrid.backbones.backend",),
    "torch": ("hybrid.backbones.backend",),
    "openvino": ("hybrid.backbones.openvino_engine",),
    "python_calamine": ("hybrid.catalogue.readers.excel",),
    "pooch": ("hybrid.backbones.download",),
    "pillow_heif": ("hybrid.images.formats",),
    "httpx": ("hybrid.catalogue.download.",),
    "requests": ("hybrid.backbones.download",),
    "numba": ("hybrid.utils.jit",),
    "jinja2": ("hybrid.report.",),
    "matplotlib": ("hybrid.report.",),
    "tqdm": ("hybrid.utils.progress",),
    "regex": ("hybrid.utils.scripts",),
    "icu4py": ("hybrid.utils.dictionary_words",),
}


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


@functools.cache
def imports(path: Path) -> frozenset[str]:
    """All modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(str(node.module))
    return frozenset(names)


def place(module: str) -> str:
    """`hybrid.heads.classifier` → `heads`."""
    return [*module.split("."), ""][1]


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
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
            whole = {f"{node.module}.{alias.name}" for node in froms for alias in node.names}
            graph[name] = {i for i in imports(path) | whole if i != name}
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

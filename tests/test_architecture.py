"""The house keeps its plan: which room may import which, and who may use what."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "image_retraining"
TESTS = ROOT / "tests"

# Room → the rooms that it may import, besides itself. docs/architecture.md draws the same table.
MAY_IMPORT = {
    "foundation": "",
    "photos": "foundation",
    "cache": "foundation",
    "head": "foundation",
    "backbone": "foundation cache",
    "evaluation": "foundation head",
    "features": "foundation photos cache backbone",
    "exports": "foundation photos backbone head evaluation",
    "evidence": "foundation photos backbone exports",
    "tuning": "foundation photos cache head backbone evaluation",
    "reports": "foundation photos head evaluation exports evidence tuning",
    "labelling": "foundation photos evaluation exports evidence reports",
    "retraining": (
        "foundation photos cache head backbone evaluation features exports evidence tuning reports"
    ),
}
# Nothing here may start TensorFlow, which takes seconds.
WITHOUT_TENSORFLOW = {"foundation", "cache", "evaluation", "reports"}
# What only one module may use.
OWNERS = {
    "tensorflow_hub": {"backbone/sources/library.py"},
    "sqlite3": {"cache/database.py"},
    "openvino": {"features/engines/openvino.py"},
    "distributed": {"features/shards/dask_crew.py"},
    "fsspec": {"foundation/remote.py"},
    "pyarrow": {"features/shards/shard_file.py"},
    "filelock": {"foundation/lock.py"},
    # Who writes CSV otherwise forgets that a label may be a formula.
    "csv": {"foundation/sheets.py"},
    "onnxruntime": {"exports/onnx/reader.py"},
    "tf2onnx": {"exports/onnx/writer.py"},
    "absl.flags": {"foundation/command_line.py"},
    "absl.app": {"foundation/command_line.py"},
}
SCRIPTS = ("retrain", "label_image")
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
INITS = sorted(PACKAGE.rglob("__init__.py"))


def name_of(path: Path) -> str:
    """Returns what a module is called here, as 'photos/splits.py'."""
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def dotted(path: Path) -> str:
    """Returns a module's name, as 'image_retraining.photos.splits'."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULE_NAMES = {dotted(path): path for path in MODULES}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(tree: ast.AST) -> set[str]:
    """Returns the dotted names that code imports, wherever in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@functools.cache
def imported(path: Path) -> frozenset[str]:
    return frozenset(imports(parsed(path)))


def modules_imported(path: Path) -> set[Path]:
    """Returns the modules of the package that a module imports, or imports something of."""
    names = imported(path) | {name.rpartition(".")[0] for name in imported(path)}
    return {MODULE_NAMES[name] for name in names & set(MODULE_NAMES)}


def uses_tensorflow(path: Path) -> bool:
    return any(name.split(".")[0] == "tensorflow" for name in imported(path))


def reaches_tensorflow(path: Path, *, seen: set[Path] | None = None) -> bool:
    """Whether importing a module imports TensorFlow, by itself or by what it imports at the top."""
    seen = set() if seen is None else seen
    seen.add(path)
    names = {
        name
        for node in parsed(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imports(ast.Module([node], []))
    }
    if any(name.split(".")[0] == "tensorflow" for name in names):
        return True
    names |= {name.rpartition(".")[0] for name in names}
    inner = {MODULE_NAMES[name] for name in names & set(MODULE_NAMES)} - seen
    return any(reaches_tensorflow(path, seen=seen) for path in inner if path not in seen)


def test_every_module_is_found_and_has_its_room() -> None:
    assert len(MODULES) >= 70
    assert len(MODULE_NAMES) == len(MODULES)
    assert {room_of(path) for path in MODULES} == set(MAY_IMPORT)
    assert {path.parent for path in MODULES} == {path.parent for path in INITS} - {PACKAGE}


def test_the_table_of_rooms_has_no_circle() -> None:
    left = {room: set(others.split()) for room, others in MAY_IMPORT.items()}
    while left:
        free = {room for room, others in left.items() if not others & set(left)}
        assert free, f"these import each other: {sorted(left)}"
        left = {room: others for room, others in left.items() if room not in free}


def test_imports_run_one_way() -> None:
    wrong = [
        f"{name_of(path)} imports {name_of(other)}"
        for path in MODULES
        for other in sorted(modules_imported(path))
        if room_of(other) not in {room_of(path), *MAY_IMPORT[room_of(path)].split()}
    ]
    assert wrong == []


def test_the_tests_look_at_imports_that_are_there() -> None:
    found = {
        room: {room_of(o) for o in modules_imported(p)} for p in MODULES for room in [dotted(p)]
    }
    assert sum(map(len, found.values())) > 100
    assert any(map(uses_tensorflow, MODULES))


def test_tensorflow_has_its_rooms() -> None:
    without = [
        path
        for path in MODULES
        if room_of(path) in WITHOUT_TENSORFLOW or path.stem in ("config", "label_config")
    ]
    assert {room_of(path) for path in without} > WITHOUT_TENSORFLOW
    assert [*filter(uses_tensorflow, without), *filter(reaches_tensorflow, without)] == []


@pytest.mark.parametrize("library", OWNERS)
def test_some_things_have_one_owner(library: str) -> None:
    users = {
        name_of(path)
        for path in MODULES
        if any(name == library or name.startswith(f"{library}.") for name in imported(path))
    }
    assert users == OWNERS[library]


def test_only_the_command_line_reads_the_command_line() -> None:
    of_modules = {
        "command_line": {"flags.FLAGS", "os.environ"},
        "hub_settings": {"os.environ"},
        # What TensorFlow and ONNX Runtime look for there.
        "importing": {"os.environ"},
        # TERM, which is not a setting but what the terminal is.
        "screen": {"os.environ"},
    }
    wrong = [
        f"{name_of(path)} reads {node.value.id}.{node.attr}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"{node.value.id}.{node.attr}" in {"flags.FLAGS", "os.environ", "sys.argv"}
        and f"{node.value.id}.{node.attr}" not in of_modules.get(path.stem, set())
    ]
    assert wrong == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_import_no_tensorflow_at_the_top(script: str) -> None:
    path = ROOT / f"{script}.py"
    tree = parsed(path)
    assert not reaches_tensorflow(path)
    assert any(isinstance(node, ast.ImportFrom) for node in tree.body)


@pytest.mark.parametrize("path", INITS, ids=[dotted(path) for path in INITS])
def test_a_room_says_what_it_is_and_hands_nothing_on(path: Path) -> None:
    tree = parsed(path)
    assert ast.get_docstring(tree)
    if path.parent != PACKAGE:
        assert len(tree.body) == 1


def test_modules_stay_small() -> None:
    # The settings of retrain.py are one long list.
    largest = {"config": 640}
    lengths = {path: path.read_text().count("\n") for path in MODULES}
    assert [name_of(path) for path in MODULES if lengths[path] > largest.get(path.stem, 280)] == []


def test_functions_stay_small() -> None:
    wrong = []
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                docstring = len((ast.get_docstring(node) or "").splitlines())
                if node.end_lineno - node.lineno + 1 - docstring > 45:
                    wrong.append(f"{name_of(path)}: {node.name}")
    assert wrong == []


def test_the_tests_lie_in_the_same_folders() -> None:
    folders = {path.parent.name for path in TESTS.rglob("test_*.py") if path.parent != TESTS}
    assert folders <= {*MAY_IMPORT, "whole", "tools"}
    names = [path.name for path in TESTS.rglob("test_*.py")]
    # pytest takes a test module by its name alone.
    assert len(set(names)) == len(names)


def test_the_guide_draws_the_same_table() -> None:
    rows = re.findall(
        r"(?m)^\| `(\w+)` \| .* \| (.*?) *\|$", (ROOT / "docs/architecture.md").read_text()
    )
    drawn = {room: others.replace(",", "") for room, others in rows if room in MAY_IMPORT}
    assert drawn.pop("retraining") == "all but labelling"
    everything = set(MAY_IMPORT) - {"labelling", "retraining"}
    assert set(MAY_IMPORT["retraining"].split()) == everything
    assert drawn == {room: MAY_IMPORT[room] for room in MAY_IMPORT if room != "retraining"}


@pytest.mark.parametrize("guide", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_the_guides_name_files_that_are_there(guide: str) -> None:
    named = set(re.findall(r"`([\w/]+/[\w/]*\.py)`", (ROOT / guide).read_text()))
    rooms = {name for name in named if (PACKAGE / name).exists()}
    assert len(rooms) > 5
    assert {name for name in named - rooms if not (ROOT / name).exists()} == set()

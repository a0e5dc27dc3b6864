"""The house keeps its plan: who may import whom, and who may use what."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "image_retraining"

# A room may import rooms that stand on lines above its own. CONTRIBUTING.md draws the same table.
FLOORS = [
    {"errors", "records"},
    {
        "whole_files",
        "answers",
        "model_versions",
        "settings",
        "head_choice",
        "class_weights",
        "splits",
        "sampling",
        "evaluation",
        "metrics",
        "near_vectors",
        "overlap",
        "cache_schema",
        "photo_header",
        "plain_text",
        "quiet_stderr",
        "interruption",
        "tflite_metadata",
        "variations",
    },
    {
        "cache_file",
        "duplicates",
        "feature_table",
        "text_bottlenecks",
        "softmax_regression",
        "calibration",
        "metrics_report",
        "confusion_picture",
    },
    {
        "config",
        "label_config",
        "catalog",
        "checkpoint",
        "model_facts",
        "images",
        "progress",
        "command_line",
        "reliability_picture",
    },
    {"claims", "photo_files", "kept_modules", "regularization_path", "label_issues", "heatmap"},
    {"bottlenecks", "photo_batches", "hub_module", "plain_graph"},
    {"freezing", "row_cache"},
    {"backbone", "engines"},
    {"gradient_steps", "extraction", "importing", "cache_care", "cache_folder"},
    {"training", "summaries"},
    {"distorted_photos", "metrics_board", "calibration_report", "feature_map"},
    {"frozen_graph", "evidence"},
    {"predictions", "graph_model", "saved_model", "tflite_export", "tflite_model"},
    {"verification", "labelling"},
    {"gathering", "fitting", "judging", "stages"},
]
WITH_TENSORFLOW = {
    "backbone",
    "engines",
    "evidence",
    "feature_map",
    "freezing",
    "frozen_graph",
    "gradient_steps",
    "graph_model",
    "hub_module",
    "images",
    "labelling",
    "photo_batches",
    "plain_graph",
    "saved_model",
    "tflite_export",
    "tflite_metadata",
    "tflite_model",
    "training",
}
SCRIPTS = ("retrain", "label_image")
ROOMS = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def imports(path: Path) -> set[str]:
    """Returns the dotted names that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def rooms_imported(path: Path) -> set[str]:
    return {
        name.split(".")[1] for name in imports(path) if name.startswith("image_retraining.")
    } & set(ROOMS)


def test_every_room_has_its_floor() -> None:
    assert sorted(room for floor in FLOORS for room in floor) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    number = next(number for number, floor in enumerate(FLOORS) if room in floor)
    below = set().union(*FLOORS[:number])
    assert rooms_imported(PACKAGE / f"{room}.py") <= below


@pytest.mark.parametrize("room", ROOMS)
def test_tensorflow_has_its_rooms(room: str) -> None:
    uses = any(name.split(".")[0] == "tensorflow" for name in imports(PACKAGE / f"{room}.py"))
    assert uses == (room in WITH_TENSORFLOW)


@pytest.mark.parametrize("room", ROOMS)
def test_some_things_have_one_owner(room: str) -> None:
    names = imports(PACKAGE / f"{room}.py")
    assert any(name.startswith("tensorflow_hub") for name in names) == (room == "hub_module")
    assert any(name.startswith("sqlite3") for name in names) == (room == "cache_file")
    assert any(name.startswith("openvino") for name in names) == (room == "engines")
    uses_flags = bool(names & {"absl.flags", "absl.app"})
    assert uses_flags == (room == "command_line")


@pytest.mark.parametrize("room", ROOMS)
def test_only_the_command_line_reads_the_command_line(room: str) -> None:
    read = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse((PACKAGE / f"{room}.py").read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    allowed = {"flags.FLAGS", "os.environ"} if room == "command_line" else set()
    assert read & {"flags.FLAGS", "os.environ", "sys.argv"} <= allowed


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_import_no_tensorflow_at_the_top(script: str) -> None:
    tree = ast.parse((ROOT / f"{script}.py").read_text())
    top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
    rooms = {name.rpartition(".")[2] for name in top} | {
        alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert not rooms & (
        WITH_TENSORFLOW | {"stages", "fitting", "gathering", "judging", "labelling"}
    )


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_and_functions_stay_small(room: str) -> None:
    text = (PACKAGE / f"{room}.py").read_text()
    # config is one long list of settings.
    assert text.count("\n") <= (430 if room == "config" else 280)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            docstring = len((ast.get_docstring(node) or "").splitlines())
            assert node.end_lineno - node.lineno + 1 - docstring <= 45, node.name

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_retraining.evaluation.calibration import Calibration
from image_retraining.exports.facts import ModelFacts, read_facts, write_facts
from image_retraining.foundation.errors import GraphError

FACTS = ModelFacts(
    labels=("daisy", "玫瑰", "not \udcff UTF-8"),
    image_size=(224, 192),
    input_range=(0.0, 1.0),
    input_layer="Placeholder",
    output_layer="final_result",
    module="https://tfhub.dev/x/1",
    module_fingerprint="ab" * 32,
    testing_percentage=10,
    validation_percentage=15,
    test_accuracy=0.875,
    test_count=80,
    tool_version="0.1.0",
    calibration=Calibration(1.5, 0.4, 0.2, 0.1, 113),
    temperature_in_graph=True,
)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    (tmp_path / "g.pb").write_bytes(b"a graph")
    return tmp_path / "g.pb"


@pytest.mark.parametrize(
    "facts", [FACTS, replace(FACTS, test_accuracy=None, test_count=0, calibration=None)]
)
def test_facts_come_back(graph: Path, facts: ModelFacts) -> None:
    write_facts(str(graph), facts)
    assert read_facts(str(graph)) == facts


def test_the_file_is_plain_json(graph: Path) -> None:
    write_facts(str(graph), FACTS)
    found = json.loads((graph.parent / "g.pb.json").read_text())
    assert found["labels"][:2] == ["daisy", "玫瑰"]
    assert found["image_size"] == [224, 192]
    # SHA-256 of b"a graph", by sha256sum.
    assert found["graph_sha256"] == GRAPH_SHA256


GRAPH_SHA256 = "170df6144b15bdf1dced878e45ebdb2dac95d0b1a3bc68459434bbbd88681157"


def test_they_are_not_required(graph: Path) -> None:
    assert read_facts(str(graph)) is None


def test_facts_of_another_graph_are_not_used(graph: Path, logged: pytest.LogCaptureFixture) -> None:
    write_facts(str(graph), FACTS)
    graph.write_bytes(b"another graph")
    assert read_facts(str(graph)) is None
    assert "tells of another graph" in logged.messages[-1]


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "daisy"},
        {"labels": [1, 2]},
        {"image_size": [224]},
        {"image_size": [0, 224]},
        {"image_size": ["a", "b"]},
        {"input_range": [1, 0]},
        {"input_range": "01"},
        {"input_layer": 3},
        {"labels": None},
        {"graph_sha256": ...},
        {"module": ...},
    ],
)
def test_damaged_facts_are_an_error(graph: Path, change: dict[str, Any]) -> None:
    write_facts(str(graph), FACTS)
    path = graph.parent / "g.pb.json"
    found = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in found.items() if value is not ...}))
    with pytest.raises(GraphError, match=r"g.pb.json must be what retrain.py wrote") as raised:
        read_facts(str(graph))
    assert "Remove it to do without." in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"3"])
def test_other_files_are_an_error(graph: Path, content: bytes) -> None:
    (graph.parent / "g.pb.json").write_bytes(content)
    with pytest.raises(GraphError, match=r"g.pb.json must be what retrain.py wrote"):
        read_facts(str(graph))

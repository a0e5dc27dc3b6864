import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import as_nobody
from facts_made_here import facts

from image_retraining.evaluation.calibration import Calibration
from image_retraining.exports.facts import (
    ModelFacts,
    facts_in,
    facts_in_file,
    facts_path,
    read_facts,
    write_facts,
)
from image_retraining.foundation.errors import GraphError

FACTS = facts(
    labels=("daisy", "玫瑰", "not \udcff UTF-8"),
    image_size=(224, 192),
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
    write_facts(facts_path(str(graph)), facts, of=graph)
    assert read_facts(str(graph)) == facts


def test_the_file_is_plain_json(graph: Path) -> None:
    write_facts(facts_path(str(graph)), FACTS, of=graph)
    found = json.loads((graph.parent / "g.pb.json").read_text())
    assert found["labels"][:2] == ["daisy", "玫瑰"]
    assert found["image_size"] == [224, 192]
    # SHA-256 of b"a graph", by sha256sum.
    assert found["graph_sha256"] == GRAPH_SHA256


GRAPH_SHA256 = "170df6144b15bdf1dced878e45ebdb2dac95d0b1a3bc68459434bbbd88681157"


def test_they_are_not_required(graph: Path) -> None:
    assert read_facts(str(graph)) is None


def test_facts_of_another_graph_are_not_used(graph: Path, logged: pytest.LogCaptureFixture) -> None:
    write_facts(facts_path(str(graph)), FACTS, of=graph)
    graph.write_bytes(b"another graph")
    assert read_facts(str(graph)) is None
    assert "tells of another graph" in logged.messages[-1]


def test_facts_of_an_export_come_back(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(FACTS.as_json())
    assert facts_in_file(tmp_path / "model.json") == FACTS
    assert facts_in(FACTS.as_json(note="of a later version").encode(), "x") == FACTS


def test_facts_from_before_a_field_say_what_was_done_then() -> None:
    told = json.loads(FACTS.as_json())
    del told["unknown_rule"], told["exif_orientation"]
    found = facts_in(json.dumps(told).encode(), "x")
    assert found is not None
    assert (found.unknown_rule, found.exif_orientation) == ("", "ignore")


def test_an_export_may_say_nothing(tmp_path: Path) -> None:
    assert facts_in(b"{}", "x") is None
    assert facts_in_file(tmp_path / "missing.json") is None


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("labels", "daisy", r"labels, a list of texts\. Got 'daisy'\."),
        ("labels", [1, 2], r"labels, a list of texts\. Got \[1, 2\]\."),
        ("labels", None, r"labels, a list of texts\. Got None\."),
        ("image_size", [224], r"image_size, height and width in pixels\. Got \[224\]\."),
        ("image_size", [0, 224], r"image_size, .*Got \[0, 224\]\."),
        ("image_size", [True, 224], r"image_size, .*Got \[True, 224\]\."),
        ("image_size", ["a", "b"], r"image_size, .*Got \['a', 'b'\]\."),
        ("input_range", [1, 0], r"input_range, two numbers, the smaller first\. Got \[1, 0\]\."),
        ("input_range", "01", r"input_range, .*Got '01'\."),
        ("input_range", [0, 10**400], r"input_range, .*Got \[0, 10"),
        ("input_layer", 3, r"input_layer, a text\. Got 3\."),
        ("unknown_rule", 3, r"unknown_rule, a text\. Got 3\."),
        ("output_layer", 3, r"output_layer, a text\. Got 3\."),
        ("graph_sha256", ..., r"have graph_sha256\. Got none\."),
        ("module", ..., r"have module\. Got none\."),
    ],
)
def test_damaged_facts_are_an_error(graph: Path, name: str, value: Any, got: str) -> None:
    write_facts(facts_path(str(graph)), FACTS, of=graph)
    path = graph.parent / "g.pb.json"
    found = json.loads(path.read_text())
    if value is ...:
        del found[name]
    else:
        found[name] = value
    path.write_text(json.dumps(found))
    told = rf"g\.pb\.json must be what retrain\.py wrote, and .*{got}.* Remove it to do without, or"
    with pytest.raises(GraphError, match=told) as raised:
        read_facts(str(graph))
    assert len(str(raised.value).replace(str(path), "")) < 250
    if name != "graph_sha256":
        with pytest.raises(GraphError, match=rf"model\.json in x must be .*{got}"):
            facts_in(path.read_bytes(), "model.json in x")


def test_a_damaged_calibration_is_an_error() -> None:
    text = FACTS.as_json().replace('"temperature": 1.5', '"temperature": -1')
    with pytest.raises(GraphError, match=r"calibration in x must have a temperature.* Got -1"):
        facts_in(text.encode(), "x")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"3", b"[" * 99_999])
def test_other_files_are_an_error(graph: Path, content: bytes) -> None:
    path = graph.parent / "g.pb.json"
    path.write_bytes(content)
    told = r"g\.pb\.json must be what retrain\.py wrote, and be .*JSON.* Got .* Remove it"
    with pytest.raises(GraphError, match=told) as raised:
        read_facts(str(graph))
    assert "\n" not in str(raised.value)
    with pytest.raises(GraphError, match=told):
        facts_in_file(path)


@pytest.mark.parametrize("name", ["g.pb", "g.pb.json"])
def test_a_file_that_cannot_be_read_is_told(graph: Path, name: str) -> None:
    write_facts(facts_path(str(graph)), FACTS, of=graph)
    (graph.parent / name).chmod(0)
    with (
        as_nobody(graph.parent),
        pytest.raises(GraphError, match=rf"{re.escape(name)}( cannot be read)?: Permission denied"),
    ):
        read_facts(str(graph))

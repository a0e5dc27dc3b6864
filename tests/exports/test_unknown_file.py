"""The file of the rule of what is unknown."""

import io
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facts_made_here import facts

from image_retraining.evaluation.unknown import FeatureRule, Space
from image_retraining.exports.unknown_file import (
    digest,
    file_contents,
    rule_bytes,
    rule_in,
    unknown_path,
)
from image_retraining.foundation.errors import GraphError

SPACE = Space(
    places=np.arange(2, dtype=np.int16),
    signs=np.ones(2, np.int8),
    centre=np.array([0.5, 1], np.float32),
    scale=0.25,
    means=np.array([[1, 0], [0, 1], [2, 2]], np.float16),
    directions=np.array([[0, 1]], np.float16),
    spreads=np.array([3], np.float32),
    rest=0.1,
)
RULE = FeatureRule(SPACE, farthest=4.5, least_probability=0.3, photo_count=77)


def values(rule: FeatureRule) -> dict[str, Any]:
    return {
        field.name: getattr(owner, field.name)
        for owner in (rule, rule.space)
        for field in fields(owner)
        if field.name != "space"
    }


def test_a_rule_comes_back(tmp_path: Path) -> None:
    contents = rule_bytes(RULE)
    (tmp_path / "r.npz").write_bytes(contents)
    read = file_contents(str(tmp_path / "r.npz"))
    found = rule_in(read, "r.npz", facts(unknown_rule=digest(contents)))
    assert found is not None
    for name, value in values(RULE).items():
        np.testing.assert_array_equal(values(found)[name], value)
        assert np.asarray(values(found)[name]).dtype == np.asarray(value).dtype


def test_equal_rules_give_equal_bytes() -> None:
    assert rule_bytes(RULE) == rule_bytes(replace(RULE))
    assert rule_bytes(None) == b""
    assert digest(b"") == ""
    # By sha256sum.
    assert digest(b"a rule") == "f8a062528d72a832afe10bc3d855a77c703ada3d2945302e595bafb8675789cc"


def test_any_reader_of_npz_can_read_it() -> None:
    with zipfile.ZipFile(io.BytesIO(rule_bytes(RULE))) as archive:
        assert {name.removesuffix(".npy") for name in archive.namelist()} == set(values(RULE))


def test_that_of_another_export_is_none(tmp_path: Path) -> None:
    assert unknown_path("model.pb") == "model.pb.unknown.npz"
    contents = rule_bytes(RULE)
    assert rule_in(contents, "r.npz", facts(unknown_rule=digest(b"another"))) is None
    missing = file_contents(str(tmp_path / "missing.npz"))
    assert rule_in(missing, "missing.npz", facts()) is None


def changed(**changes: Any) -> bytes:
    stream = io.BytesIO()
    arrays = {name: np.asarray(value) for name, value in values(RULE).items()}
    kept = {name: value for name, value in (arrays | changes).items() if value is not ...}
    np.savez(stream, **kept)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("contents", "got"),
    [
        (b"no archive", "pickled|allow_pickle"),
        (changed(means=np.ones(3, np.float16)), r"means is float16 \[3\]"),
        (changed(rest=np.array("x")), r"rest is <U1 \[\]"),
        (changed(scale=...), "scale"),
    ],
)
def test_a_damaged_file_is_an_error(contents: bytes, got: str) -> None:
    with pytest.raises(
        GraphError, match=rf"r\.npz must be what retrain\.py wrote\. Got: .*({got})"
    ):
        rule_in(contents, "r.npz", facts(unknown_rule=digest(contents)))

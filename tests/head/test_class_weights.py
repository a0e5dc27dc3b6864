from pathlib import Path

import numpy as np
import pytest

from image_retraining.foundation.errors import SettingError
from image_retraining.head.class_weights import class_weights

LABELS = ("daisy", "wild rose", "玫瑰")


def ids(*counts: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def test_balanced_weights_make_classes_count_alike() -> None:
    weights = class_weights("balanced", LABELS, ids(50, 1, 10))
    # N / (C * n) by hand: 61 / (3 * 50), 61 / 3, 61 / 30.
    np.testing.assert_allclose(weights, [61 / 150, 61 / 3, 61 / 30], rtol=1e-6)
    assert weights.dtype == np.float32


def test_a_class_without_photos_takes_no_part_in_the_balance() -> None:
    weights = class_weights("balanced", LABELS, ids(4, 0, 2))
    np.testing.assert_allclose(weights[[0, 2]], [6 / 8, 6 / 4], rtol=1e-6)
    assert np.isfinite(weights).all()


def test_no_photo_has_no_balance() -> None:
    assert np.isfinite(class_weights("balanced", LABELS, ids())).all()


def test_none_is_one_a_photo() -> None:
    assert class_weights("none", LABELS, ids(5, 1, 1)).tolist() == [1, 1, 1]


def test_a_file_gives_a_weight_a_line(tmp_path: Path) -> None:
    file = tmp_path / "weights.txt"
    file.write_text("wild rose 2.5\n\n玫瑰 1e-1\r\ndaisy 3\n")
    weights = class_weights(str(file), LABELS, ids(1, 1, 1))
    np.testing.assert_allclose(weights, [3, 2.5, 0.1], rtol=1e-6)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_file_as_windows_writes_it(tmp_path: Path, encoding: str) -> None:
    # Once: no class is called as the first one in the file.
    file = tmp_path / "weights.txt"
    file.write_bytes("\ufeffwild rose 2.5\r\n玫瑰 0.1\r\ndaisy 3\r\n\r\n".encode(encoding))
    weights = class_weights(str(file), LABELS, ids(1, 1, 1))
    np.testing.assert_allclose(weights, [3, 2.5, 0.1], rtol=1e-6)


def test_half_a_letter_is_no_weight(tmp_path: Path) -> None:
    (tmp_path / "weights.txt").write_bytes(b"\xff\xfed")
    with pytest.raises(SettingError, match="--class_weight must be a file in UTF-8 or UTF-16"):
        class_weights(str(tmp_path / "weights.txt"), LABELS, ids(1, 1, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("daisy 1\nwild rose 1\n", "has none for '玫瑰'"),
        ("daisy 1\nwild rose 1\n玫瑰 1\ntulip 1\n", "names 'tulip'"),
        ("daisy 1\ndaisy 2\n", "Got 'daisy 2' in line 2"),
        ("daisy 0\n", "Got 'daisy 0' in line 1"),
        ("daisy -1\n", "Got 'daisy -1'"),
        ("daisy nan\n", "Got 'daisy nan'"),
        ("daisy inf\n", "Got 'daisy inf'"),
        ("daisy\n", "Got 'daisy'"),
        ("2.5\n", "Got '2.5'"),
        ("daisy one\n", "Got 'daisy one'"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "weights.txt"
    file.write_text(text)
    with pytest.raises(SettingError, match="--class_weight must") as raised:
        class_weights(str(file), LABELS, ids(1, 1, 1))
    assert message in str(raised.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"must be balanced, none or a file.*No such file"):
        class_weights(str(tmp_path / "missing"), LABELS, ids(1, 1, 1))

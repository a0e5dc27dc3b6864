import math

import pytest

from image_retraining.foundation.records import Split
from image_retraining.photos.splits import split_of

# Percentages computed with sha1sum and bc: SHA-1 of the name modulo 2^27, times 100 / (2^27 - 1).
GOLDEN = {
    "100080576_f52e8ee070_n.jpg": 8.575360540862,
    "rose.jpg": 4.835672712591,
    "玫瑰_1.jpg": 43.447251941615,
    "plum_nohash_1.jpg": 60.290289374368,
    "plum_nohash_2_nohash_3.png": 60.290289374368,
    "IMG_0001.JPG": 52.612472717556,
    "sunflower_42.png": 18.472863126343,
    "a b.gif": 12.709985768124,
}


@pytest.mark.parametrize(("name", "percent"), GOLDEN.items())
def test_a_name_has_the_golden_place_on_the_scale(name: str, percent: float) -> None:
    below, above = math.floor(percent), math.ceil(percent)

    def split(validation: int, testing: int) -> Split:
        return split_of(name, validation_percentage=validation, testing_percentage=testing)

    assert split(above, 0) is Split.VALIDATION
    assert split(below, 0) is Split.TRAINING
    assert split(below, above - below) is Split.TESTING
    assert split(0, above) is Split.TESTING
    assert split(0, below) is Split.TRAINING


def test_the_folder_does_not_matter() -> None:
    for name in GOLDEN:
        splits = {
            split_of(path, validation_percentage=30, testing_percentage=30)
            for path in (name, f"/a/roses/{name}", f"../b/{name}")
        }
        assert len(splits) == 1


def test_the_shares_are_about_right() -> None:
    names = [f"photo_{number}.jpg" for number in range(5000)]
    splits = [split_of(n, validation_percentage=15, testing_percentage=25) for n in names]
    # Three standard deviations of a share of 5000 draws are under 2 points.
    assert splits.count(Split.VALIDATION) / 5000 == pytest.approx(0.15, abs=0.02)
    assert splits.count(Split.TESTING) / 5000 == pytest.approx(0.25, abs=0.02)


def test_a_name_that_is_not_utf8_has_a_split() -> None:
    assert split_of("ro\udcffse.jpg", validation_percentage=10, testing_percentage=10) in Split

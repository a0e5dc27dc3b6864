"""McNemar's test against published and hand-made figures, and which module is to be taken."""

import numpy as np
import pytest
from comparisons_made_here import contender, crossed, right_but

from image_retraining.evaluation.comparison import Contender, Failure, compare, mcnemar, p_value


@pytest.mark.parametrize(
    ("only_one", "only_other", "expected"),
    [
        # M. W. Fagerland et al., "The McNemar test for binary matched-pairs data", 2013: 0.070.
        (1, 7, 0.0703125),
        # Of 12 photos (1 + 12 + 66) of 4096 outcomes are at least as far off, on each side.
        (10, 2, 0.03857421875),
        (2, 10, 0.03857421875),
        # Likewise (1 + 6) of 64.
        (5, 1, 0.21875),
        (6, 0, 0.03125),
        (3, 3, 1.0),
        (0, 0, 1.0),
        (0, 1, 1.0),
    ],
)
def test_the_test_is_exact(only_one: int, only_other: int, expected: float) -> None:
    both = np.repeat([True, False], [30, 8])
    one = np.concatenate([both, np.repeat([True, False], [only_one, only_other])])
    other = np.concatenate([both, np.repeat([False, True], [only_one, only_other])])
    assert mcnemar(one, other) == pytest.approx(expected, abs=1e-12)


def test_photos_are_compared_by_their_paths() -> None:
    paths = [f"{number}.jpg" for number in range(8)]
    one = crossed([True] * 6 + [False] * 2, paths)
    # The same answers in another order, and a photo that only one module could be asked about.
    other = crossed([False, *[False] * 2, *[True] * 6], ["only.jpg", *reversed(paths)])
    assert p_value(one, other) == 1
    worse = crossed([False] * 8, paths)
    assert p_value(one, worse) == pytest.approx(2 / 2**6)
    assert p_value(one, crossed([True], ["elsewhere.jpg"])) == 1


def test_the_quickest_of_the_best_is_recommended() -> None:
    found = compare(
        [
            contender("slow", right_but(1), milliseconds=95),
            contender("quick", right_but(2, 3, 4), milliseconds=9),
            contender("quickest and worse", right_but(*range(5, 13)), milliseconds=1),
            contender("equal and quicker", right_but(7), milliseconds=90),
        ],
        [Failure("broken", "why")],
    )
    names = [one.module for one in found.contenders]
    assert names == ["equal and quicker", "slow", "quick", "quickest and worse"]
    assert found.recommended.module == "equal and quicker"
    # None; one each; 3 photos against 1; 7 against none: 2 / 2 ** 7.
    assert found.p_values == pytest.approx((1, 1, 0.625, 0.015625))
    assert [found.is_as_good(place) for place in range(4)] == [True, True, True, False]
    # One photo of forty is 2.5 points: the quick one is 5 less accurate, which is too much.
    assert found.near_count == 2
    assert found.failures == (Failure("broken", "why"),)


def test_a_single_module_is_recommended() -> None:
    found = compare([contender("alone", right_but(1))])
    assert found.recommended is found.contenders[0]
    assert found.p_values == (1.0,)


def test_what_is_hardly_less_accurate_and_quicker_is_recommended() -> None:
    def of(module: str, wrong: int, milliseconds: float) -> Contender:
        return contender(module, right_but(*range(wrong), count=200), milliseconds=milliseconds)

    found = compare([of("best", 0, 50), of("near", 4, 5), of("far", 5, 1)])
    # Of 200 photos, 4 are 2 points. p is 2 / 2 ** 4 and 2 / 2 ** 5: neither is told apart.
    assert found.p_values == pytest.approx((1, 0.125, 0.0625))
    assert found.recommended.module == "near"
    assert found.near_count == 2

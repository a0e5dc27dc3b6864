import hashlib
from dataclasses import replace

import numpy as np
import pytest

from image_retraining.photos.distortions import NO_VIEWS, PLAIN, SETS, Distortion, Variation, Views

ALL = Distortion(flip_left_right=True, random_crop=20, random_scale=30, random_brightness=40)
PHOTO = hashlib.sha256(b"a photo").digest()


def numbers(key: bytes) -> list[float]:
    """Returns the five even random numbers of a key, read with NumPy: the top 53 bits of each."""
    words = np.frombuffer(hashlib.sha512(key).digest()[:40], "<u8")
    return [float(np.ldexp(float(word >> np.uint64(11)), -53)) for word in words]


@pytest.mark.parametrize("photo", [b"", bytes(32), PHOTO])
def test_a_variation_follows_from_the_photo_and_the_name(photo: bytes) -> None:
    # SHA-512 of "abc" begins with ddaf35a193617aba, says FIPS 180-2, appendix C.
    assert numbers(b"abc")[0] == pytest.approx(0xBA7A6193A135AFDD / 2**64, abs=1e-15)
    name = b"flip_left_right random_crop=20 random_scale=30 random_brightness=40 seed=7 view=2"
    scale, top, left, side, brightness = numbers(photo + name)
    expected = [1.2 * (1 + 0.3 * scale), top, left, float(side < 0.5), 0.6 + 0.8 * brightness]
    varied = Views(ALL, 3, 7).variation(2, photo)
    assert list(varied[:5]) == pytest.approx(expected, abs=1e-15)
    # Cached views of before stay what they are.
    assert varied[5:] == PLAIN[5:]


def test_later_distortions_follow_from_numbers_of_their_own() -> None:
    later = Distortion(
        random_rotation=30,
        random_shift=20,
        random_shear=45,
        random_contrast=50,
        random_saturation=60,
    )
    name = (
        b"random_rotation=30 random_shift=20 random_shear=45 random_contrast=50 "
        b"random_saturation=60 seed=0 view=1"
    )
    words = np.frombuffer(hashlib.sha512(PHOTO + name + b" more").digest()[:48], "<u8")
    drawn = [2 * float(np.ldexp(float(word >> np.uint64(11)), -53)) - 1 for word in words]
    turn, down, right, shear, contrast, saturation = drawn
    views = Views(later, 1)
    assert views.name(1, PHOTO).encode() == name
    varied = views.variation(1, PHOTO)
    assert varied[:5] == PLAIN[:5]
    expected = [np.deg2rad(30) * turn, 0.2 * down, 0.2 * right, np.tan(np.deg2rad(45) * shear)]
    expected += [1 + 0.5 * contrast, 1 + 0.6 * saturation]
    assert list(varied[5:]) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("name", SETS)
def test_sets_vary_all_that_they_name(name: str) -> None:
    views = Views(SETS[name], 50)
    varied = np.array([views.variation(number, PHOTO) for number in range(1, 51)])
    moves = {"random_rotation": 5, "random_shift": 6, "random_shear": 8}
    colours = {"random_brightness": 4, "random_contrast": 9, "random_saturation": 10}
    for amount, column in {**moves, **colours}.items():
        is_varied = len(set(varied[:, column].tolist())) > 1
        assert is_varied == (amount in SETS[name].amounts)


def test_no_distortion_leaves_the_photo() -> None:
    assert Views(Distortion(), 1).variation(1, PHOTO) == PLAIN


def test_names_tell_all_that_decides() -> None:
    views = Views(ALL, 3, 7)
    assert views.name(0, PHOTO) == ""
    assert views.name(2, PHOTO) == (
        "flip_left_right random_crop=20 random_scale=30 random_brightness=40 seed=7 view=2"
    )
    assert Views(Distortion(random_crop=5), 1, 0).name(1, PHOTO) == "random_crop=5 seed=0 view=1"
    others = [
        replace(views, seed=8),
        *(
            replace(views, distortion=replace(ALL, **change))
            for change in (
                {"flip_left_right": False},
                {"random_crop": 21},
                {"random_scale": 31},
                {"random_brightness": 41},
            )
        ),
    ]
    names = {view.name(number, PHOTO) for view in (views, *others) for number in (1, 2, 3)}
    assert len(names) == 18
    variations = {view.variation(1, PHOTO) for view in (views, *others)}
    assert len(variations) == 6


def test_views_that_look_alike_have_one_name() -> None:
    flips = Views(Distortion(flip_left_right=True), 40, 3)
    for number in range(1, 41):
        # Half of them are the photo, and half its mirror image; there is nothing else.
        mirrored = flips.variation(number, PHOTO) == Variation(mirrored=1.0)
        assert mirrored or flips.variation(number, PHOTO) == PLAIN
        assert flips.name(number, PHOTO) == ("mirrored" if mirrored else "")
    assert {flips.name(number, PHOTO) for number in range(1, 41)} == {"", "mirrored"}
    assert Views(Distortion(), 2).name(2, PHOTO) == ""


def test_more_views_leave_the_first_ones_as_they_are() -> None:
    few, many = Views(ALL, 2, 0), Views(ALL, 9, 0)
    assert [few.name(n, PHOTO) for n in (0, 1, 2)] == [many.name(n, PHOTO) for n in (0, 1, 2)]
    assert few.variation(2, PHOTO) == many.variation(2, PHOTO)


def test_views_differ_by_number_and_by_photo() -> None:
    views = Views(ALL, 20, 0)
    assert views.variation(0, PHOTO) == PLAIN
    variations = {views.variation(number, PHOTO) for number in range(21)}
    variations |= {views.variation(number, bytes(32)) for number in range(1, 21)}
    assert len(variations) == 41


def test_by_default_there_is_no_view() -> None:
    assert (NO_VIEWS.count, NO_VIEWS.name(0, PHOTO)) == (0, "")

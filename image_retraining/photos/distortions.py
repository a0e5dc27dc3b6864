"""How a photo is distorted: settings → what is done to it. Cached views rest on it: a promise.

A variation is drawn from a key alone: bytes, of which SHA-512 makes even random numbers. So it is
the same on every machine and in every release, and a view of a photo can be cached like the photo
itself. Changing how it is drawn gives cached views that no longer are what they say.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

_FLIP = "flip_left_right"


@dataclass(frozen=True, slots=True)
class Distortion:
    """How training photos are varied at random.

    Attributes:
        flip_left_right: mirror half of them.
        random_crop: margin to crop from, percent of the size.
        random_scale: largest enlargement, percent.
        random_brightness: largest change of brightness, percent, at most 100.
        random_rotation: largest turn to either side, degrees, at most 180.
        random_shift: largest way in each direction, percent of the size, at most 100.
        random_shear: largest angle by which upright lines lean, degrees, at most 60.
        random_contrast: largest change of contrast, percent, at most 100.
        random_saturation: largest change of saturation, percent, at most 100.
    """

    flip_left_right: bool = False
    random_crop: int = 0
    random_scale: int = 0
    random_brightness: int = 0
    random_rotation: int = 0
    random_shift: int = 0
    random_shear: int = 0
    random_contrast: int = 0
    random_saturation: int = 0

    @property
    def amounts(self) -> dict[str, int]:
        """Those that are a number and not 0, by name, in the order of the fields."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if name != _FLIP and value}


# Sets of distortions that go well together, by name; measured (docs/training.md).
NO_SET = "none"
SETS = {
    "light": Distortion(
        random_rotation=10, random_shift=10, random_brightness=10, random_contrast=10
    ),
    "strong": Distortion(
        random_crop=15,
        random_scale=10,
        random_brightness=15,
        random_rotation=10,
        random_shift=10,
        random_shear=5,
        random_contrast=15,
        random_saturation=15,
    ),
}


class Variation(NamedTuple):
    """What is done to one photo.

    Attributes:
        enlargement: the photo is resized to this multiple of the wanted size; at least 1.
        top: where the crop of the wanted size is taken, 0 (top) to 1 (bottom).
        left: the same from left to right.
        mirrored: 1 if it is mirrored left to right, else 0.
        brightness: what it is multiplied by, 0 to 2.
        turn: clockwise, radians.
        down: how far it is moved, as a share of its height.
        right: likewise of its width.
        shear: tangent of the angle by which upright lines lean.
        contrast: what is left of the difference from the mean of its colour, 0 to 2.
        saturation: what is left of the difference from its grey, 0 to 2.
    """

    enlargement: float = 1.0
    top: float = 0.0
    left: float = 0.0
    mirrored: float = 0.0
    brightness: float = 1.0
    turn: float = 0.0
    down: float = 0.0
    right: float = 0.0
    shear: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0


# The photo itself, and its mirror image.
PLAIN = Variation()
_MIRROR_IMAGE = Variation(mirrored=1.0)


@dataclass(frozen=True, slots=True)
class Views:
    """The variations of each photo that are cached. View 0 is the photo itself.

    Attributes:
        distortion: what to vary, and how much.
        count: K, distorted views of a photo; their numbers are 1 to K.
        seed: equal seeds give equal views.
        upright: whether all are of the photo turned as its EXIF orientation says; that is no part
            of a view's name, but of what the photo goes by.
    """

    distortion: Distortion = Distortion()
    count: int = 0
    seed: int = 0
    upright: bool = True

    def name(self, number: int, digest: bytes) -> str:
        """Returns what decides, with the photo, what view `number` of it looks like.

        Views that look the same have one name: '' is the photo itself, "mirrored" its mirror image.

        Args:
            number: of the view.
            digest: what tells the photo from others.
        """
        variation = self.variation(number, digest)
        if variation == PLAIN:
            return ""
        return "mirrored" if variation == _MIRROR_IMAGE else self._drawn_from(number)

    def _drawn_from(self, number: int) -> str:
        """Returns what, with the photo, decides what is drawn for a view."""
        parts = [_FLIP] * self.distortion.flip_left_right
        parts += [f"{name}={amount}" for name, amount in self.distortion.amounts.items()]
        return " ".join([*parts, f"seed={self.seed}", f"view={number}"])

    def variation(self, number: int, digest: bytes) -> Variation:
        """Returns what view `number` does to the photo of this SHA-256."""
        if not number:
            return PLAIN
        return _drawn(self.distortion, digest + self._drawn_from(number).encode())


NO_VIEWS = Views()


def _drawn(distortion: Distortion, key: bytes) -> Variation:
    """Returns a random variation; equal keys give equal ones.

    The distributions of the first five are those of TensorFlow Hub's image_retraining example; the
    others are even around no change.
    """
    scale, top, left, side, brightness, *others = _uniform(key)
    turn, down, right, shear, contrast, saturation = (2 * one - 1 for one in others)
    margin = 1 + distortion.random_crop / 100
    strength = distortion.random_brightness / 100
    enlargement = margin * (1 + scale * distortion.random_scale / 100)
    # Where nothing is enlarged, there is one place to crop.
    is_whole = enlargement == 1
    return Variation(
        enlargement=enlargement,
        top=0.0 if is_whole else top,
        left=0.0 if is_whole else left,
        mirrored=float(distortion.flip_left_right and side < 0.5),
        brightness=1 - strength + 2 * strength * brightness,
        turn=turn * math.radians(distortion.random_rotation),
        down=down * distortion.random_shift / 100,
        right=right * distortion.random_shift / 100,
        shear=math.tan(shear * math.radians(distortion.random_shear)),
        contrast=1 + contrast * distortion.random_contrast / 100,
        saturation=1 + saturation * distortion.random_saturation / 100,
    )


def _uniform(key: bytes) -> Iterator[float]:
    """Yields eleven numbers from 0 to below 1, in steps of 2^-53."""
    # Five of the first, which were all once, and six of the next.
    for digest, count in ((hashlib.sha512(key), 5), (hashlib.sha512(key + b" more"), 6)):
        contents = digest.digest()
        for start in range(0, 8 * count, 8):
            yield (int.from_bytes(contents[start : start + 8], "little") >> 11) * 2.0**-53

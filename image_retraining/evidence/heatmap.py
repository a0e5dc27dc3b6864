"""Evidence of a photo → a picture of it: the photo, greyer and darker, glows where evidence is."""

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from image_retraining.foundation.files import replacing
from image_retraining.foundation.records import Floats
from image_retraining.foundation.text import shown
from image_retraining.photos import own_pictures

Pixels = npt.NDArray[np.uint8]

# The picture's longer side, in pixels: a screen's, for it is looked at and not measured.
_LONGEST_SIDE = 1600
# Colours from no evidence to most, RGB, in steps of equal lightness so that no edge is seen where
# there is none: CIE L* 20, 38, 56, 74 and 92, for every 1 / 4 of the strength.
_GLOW = np.array(
    [(66, 26, 92), (158, 28, 104), (224, 82, 60), (246, 160, 24), (248, 232, 120)], np.float32
)
# How much the glow covers the photo at most.
_OPACITY = 0.7
# How much of a photo's colour is kept: a yellow flower is not to be taken for evidence.
_COLOUR_KEPT = 0.35
# How much of its light, so that the glow is seen on white flowers.
_LIGHT_KEPT = 0.65
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_NAME_BYTES = 150
_DIGEST_BYTES = 6
_UNSAFE = frozenset('<>:"/\\|?*')


def write(
    folder: str | os.PathLike[str],
    photo: str,
    picture: Image.Image,
    *,
    title: str = "",
    description: str = "",
) -> Path:
    """Writes the picture of a photo's evidence, whole or not at all, and returns its path.

    Args:
        folder: where to write; made when it is missing.
        photo: the photo's file, which gives it its name.
        picture: what is seen.
        title: what the file says of it, where programs look for that (PNG, 11.3.3); '' for nothing.
        description: likewise.

    Raises:
        OutputError: it cannot be written.
    """
    target = Path(folder) / file_name(photo)
    with replacing(target) as temporary:
        mark = PngInfo()
        # First, where those who walk folders look for it.
        mark.add_text(own_pictures.KEY, own_pictures.VALUE)
        for key, text in (("Title", title), ("Description", description)):
            if text:
                mark.add_itxt(key, shown(text))
        picture.save(temporary, "PNG", pnginfo=mark)
    return target


def blended(photo: Pixels, evidence: Floats) -> Image.Image:
    """Returns the picture of a photo with its evidence over it, of at most 1600 pixels a side.

    The evidence is scaled to its own maximum: pictures tell where, not how much. Where it is 0 or
    less there is only the photo.

    Args:
        photo: uint8 [H, W, 3], RGB.
        evidence: float32 [h, w] over the whole of the photo.
    """
    image = Image.fromarray(photo)
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), reducing_gap=2.0)
    resized = Image.fromarray(np.asarray(evidence, np.float32)).resize(
        image.size, Image.Resampling.BICUBIC
    )
    # Between places that are all below 0, resizing overshoots it.
    strength = np.asarray(resized).clip(0) * (evidence.max() > 0)
    strength = strength / max(float(strength.max()), np.finfo(np.float32).tiny)
    return glowing(np.asarray(image, np.float32), strength)


def glowing(colours: Floats, strength: Floats) -> Image.Image:
    """Returns the picture of colours, greyer and darker, that glow by a strength.

    Args:
        colours: float32 [h, w, 3], RGB, 0 to 255.
        strength: float32 [h, w], 0 to 1.
    """
    greys = (colours @ _LUMA)[..., np.newaxis]
    dull = _LIGHT_KEPT * (greys + _COLOUR_KEPT * (colours - greys))
    opacity = _OPACITY * strength[..., np.newaxis]
    mixed = dull + opacity * (glow(strength) - dull)
    return Image.fromarray(mixed.round().astype(np.uint8))


def glow(strength: Floats) -> Floats:
    """Returns float32 [..., 3], RGB, 0 to 255: the colours of strengths of 0 to 1."""
    anchors = np.linspace(0, 1, len(_GLOW))
    channels = [np.interp(strength, anchors, _GLOW[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def file_name(photo: str) -> str:
    """Returns the name of a photo's picture: the photo's, with a mark of its whole path.

    The same photo gets the same name in every run, and no two photos get one name.
    """
    path = os.path.abspath(photo)
    mark = hashlib.sha256(os.fsencode(path)).hexdigest()[: 2 * _DIGEST_BYTES]
    stem = "".join(
        character if character.isprintable() and character not in _UNSAFE else "_"
        for character in os.path.splitext(os.path.basename(path))[0]
    )
    # A leading dot would hide the file.
    short = stem.lstrip(".").encode()[:_NAME_BYTES].decode(errors="ignore")
    return f"{short}_{mark}.png"

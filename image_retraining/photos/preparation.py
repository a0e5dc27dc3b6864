"""What is done to a photo's file before its pixels are taken.

Most photos need nothing: TensorFlow decodes their bytes as they are. Of the others
- those that the camera held turned are turned upright, as their EXIF orientation says,
- those that are transparent are put on white, as pages and viewers show them, for the colours that
  lie hidden under the transparency are nobody's choice,
- those that TensorFlow decodes wrongly, or not at all, are decoded by Pillow.
"""

import contextlib
import hashlib
import io
from dataclasses import dataclass
from typing import Self

from PIL import Image, UnidentifiedImageError

from image_retraining.foundation.errors import SettingError
from image_retraining.photos import hints, pillow
from image_retraining.photos.pictures import of_picture

# What --exif_orientation may be.
APPLY, IGNORE = EXIF_CHOICES = ("apply", "ignore")


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is done to one photo.

    Attributes:
        orientation: how the camera held it, as EXIF has it, 1 to 8; 1 is upright.
        is_flattened: it is transparent, and put on white.
        is_converted: Pillow decodes it.
    """

    orientation: int = 1
    is_flattened: bool = False
    is_converted: bool = False

    @classmethod
    def of(cls, contents: bytes) -> Self:
        """Returns what a photo needs, by the bytes of its file."""
        is_converted = hints.needs_pillow(contents)
        has_exif = is_converted or hints.may_have_exif(contents)
        has_alpha = is_converted or hints.may_be_transparent(contents)
        orientation, is_flattened = 1, False
        if has_exif or has_alpha:
            # Whoever decodes what is damaged says so.
            with contextlib.suppress(*pillow.UNREADABLE), pillow.opened(contents) as picture:
                if is_converted:
                    picture.load()
                is_flattened = has_alpha and pillow.is_transparent(picture)
                # Of some kinds Pillow turns pictures itself, when they are decoded.
                orientation = pillow.orientation_of(picture) if has_exif else 1
        return cls(orientation, is_flattened=is_flattened, is_converted=is_converted)

    @classmethod
    def named(cls, name: str) -> Self:
        """Returns the one of a name."""
        words = name.split()
        turned = [word for word in words if word.startswith("orientation=")]
        return cls(
            int(turned[0].partition("=")[2]) if turned else 1,
            is_flattened="flattened" in words,
            is_converted="converted" in words,
        )

    @property
    def name(self) -> str:
        """All of it in words; '' of a photo that needs nothing."""
        words = [f"orientation={self.orientation}"] if self.orientation != 1 else []
        words += ["flattened"] * self.is_flattened + ["converted"] * self.is_converted
        return " ".join(words)

    def wanted(self, *, upright: bool) -> "Preparation":
        """Returns what is done if photos are to be turned upright, or to stay as they lie."""
        return self if upright else Preparation(1, self.is_flattened, self.is_converted)

    def digest(self, of_file: bytes) -> bytes:
        """Returns what tells the photo, so prepared, from all others; cached vectors go by it.

        Args:
            of_file: SHA-256 of its file. It is what comes back where the photo needs nothing.
        """
        return hashlib.sha256(of_file + self.name.encode()).digest() if self.name else of_file


NOTHING = Preparation()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A photo ready for TensorFlow.

    Attributes:
        contents: bytes of a file that TensorFlow decodes.
        orientation: as EXIF has it, by which its pixels are to be turned.
    """

    contents: bytes
    orientation: int = 1


def prepared(contents: bytes, preparation: Preparation) -> Prepared:
    """Returns a photo ready for TensorFlow.

    Args:
        contents: the bytes of its file.
        preparation: what is to be done.

    Raises:
        OSError: Pillow cannot decode it.
    """
    if preparation.is_flattened or preparation.is_converted:
        contents = _as_bitmap(contents)
    return Prepared(contents, preparation.orientation)


def _as_bitmap(contents: bytes) -> bytes:
    """Returns a photo as a BMP of 24 bits, which TensorFlow decodes to the same pixels."""
    try:
        with pillow.opened(contents) as picture:
            file = io.BytesIO()
            Image.fromarray(of_picture(picture, upright=False)).save(file, "BMP")
    except UnidentifiedImageError as error:
        raise OSError(pillow.why_unknown(contents)) from error
    except pillow.UNREADABLE as error:
        raise OSError(f"Pillow cannot decode it: {error}") from error
    except SettingError as error:
        raise OSError("nobody knows which of its values is white; save it with 8 bits") from error
    return file.getvalue()

"""Photo bytes → pixels: the one pipeline, a promise.

Training, verification, labelling and every export see a photo through `pixels` alone: decoded to
three channels, scaled to [0, 1], resized as TensorFlow 1's ResizeBilinear does it. That is what
deployed programs feed to such graphs, TensorFlow's label_image for C++ among them;
`tf.image.resize` gives other pixels. Changing anything here changes every feature vector: raise
PIPELINE_VERSION with it, which makes the cached ones unused.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from image_retraining.foundation.errors import first_line
from image_retraining.photos.decoder_warnings import listened
from image_retraining.photos.decoding_room import check_room_for
from image_retraining.photos.distortions import PLAIN, Variation
from image_retraining.photos.turning import MIRRORED, TRANSPOSED, UPSIDE_DOWN
from image_retraining.photos.varying import coloured, moved

PIPELINE_VERSION = 1

_RGB = 3
# How files of these kinds begin: RE2, of which \C is any byte.
_WEBP_START = r"RIFF\C{4}WEBP"
_EXTENDED_WEBP_START = r"RIFF\C{4}WEBPVP8X\C*"
_ANIMATION_FLAG, _ALPHA_FLAG = 0x02, 0x10
_BMP_START = r"BM\C*"


def pixels(contents: Any, image_size: tuple[int, int], orientation: Any = 1) -> Any:
    """Returns float32 [H, W, 3], RGB, 0 to 1; works eagerly, in tf.data and inside graphs.

    The aspect is squashed, as in every deployed reader.

    Args:
        contents: string scalar, a JPEG, PNG, GIF (its first frame), BMP or WebP file.
        image_size: (H, W).
        orientation: int32 scalar, how the camera held it, as EXIF has it; 1 leaves it as it lies.

    Raises:
        tf.errors.InvalidArgumentError: the contents are no such file, or a damaged one.
    """
    return _resize(_decode(contents, orientation), image_size)


def portable_pixels(contents: Any, image_size: tuple[int, int]) -> Any:
    """Returns what `pixels` does, but for WebP, whose op older servers do not know."""
    return _resize(_decode(contents, webp=False), image_size)


def variations(contents: Any, image_size: tuple[int, int], rows: Any, orientation: Any = 1) -> Any:
    """Returns float32 [n, H, W, 3], RGB, from 0 up: variations of a photo, decoded once.

    The photo is resized to a multiple of the wanted size, cropped, mirrored, and multiplied by a
    brightness, without clipping: the maths of TensorFlow Hub's image_retraining example. Then it is
    sheared, turned and moved, and its contrast and saturation are changed. What `PLAIN` gives is
    what `pixels` gives, bit for bit.

    Args:
        contents: string scalar, as for `pixels`.
        image_size: (H, W).
        rows: float32 [n, 11], fields of Variations.
        orientation: as for `pixels`.
    """
    image = _decode(contents, orientation)
    shape = tf.TensorSpec([*image_size, _RGB], tf.float32)
    # A loop takes a tenth longer, and most photos come alone.
    return tf.cond(
        tf.reduce_all(tf.equal(rows, [PLAIN])) & tf.equal(tf.shape(rows)[0], 1),
        lambda: _resize(image, image_size)[tf.newaxis],
        lambda: tf.map_fn(
            lambda row: _varied(image, image_size, row), rows, fn_output_signature=shape
        ),
    )


def _varied(image: Any, image_size: tuple[int, int], row: Any) -> Any:
    """Returns float32 [H, W, 3]: float32 [h, w, 3] as the fields of a Variation say."""
    enlargement, top, left, mirrored, brightness, *others = tf.unstack(row, len(Variation._fields))
    large_size = tf.cast(enlargement * tf.constant(image_size, tf.float32), tf.int32)
    large = _resize(image, large_size)
    room = large_size - tf.constant(image_size)
    # Rounding could lead just beyond the end.
    offset = tf.minimum(
        tf.cast(tf.stack([top, left]) * tf.cast(room + 1, tf.float32), tf.int32), room
    )
    crop = tf.slice(large, [offset[0], offset[1], 0], [*image_size, _RGB])
    bright = tf.cond(mirrored > 0, lambda: crop[:, ::-1], lambda: crop) * brightness
    # What is new changes no bit of what was before.
    is_as_before = tf.reduce_all(tf.equal(others, PLAIN[-len(others) :]))
    return tf.cond(
        is_as_before, lambda: bright, lambda: coloured(moved(bright, *others[:4]), *others[4:])
    )


def of_array(photo: Any, image_size: tuple[int, int]) -> Any:
    """Returns float32 [H, W, 3], RGB, 0 to 1, of a photo in memory, as `pixels` does of a file.

    Args:
        photo: uint8 [h, w, 3], RGB, or float32 of 0 to 1.
        image_size: (H, W).
    """
    return _resize(tf.image.convert_image_dtype(photo, tf.float32), image_size)


def as_png(photo: Any) -> bytes:
    """Returns the file of a photo in memory, uint8 [h, w, 3], RGB, or float32 of 0 to 1."""
    contents: bytes = tf.io.encode_png(as_uint8(photo)).numpy()
    return contents


def as_uint8(photo: Any) -> npt.NDArray[np.uint8]:
    """Returns uint8 [h, w, 3] of a photo in memory, which is that or float32 of 0 to 1."""
    return np.asarray(tf.image.convert_image_dtype(photo, tf.uint8))


def in_full(contents: bytes, orientation: int = 1) -> npt.NDArray[np.uint8]:
    """Returns uint8 [h, w, 3], RGB: a photo in its own size, to be looked at.

    Args:
        contents: as for `pixels`.
        orientation: likewise.

    Raises:
        OSError: there is no memory for it.
        tf.errors.InvalidArgumentError: as for `pixels`.
    """
    check_room_for(contents)
    with listened():
        return as_uint8(_decode(contents, orientation))


def why_unreadable(contents: bytes) -> str:
    """Returns in one line why the contents cannot be decoded, '' when they can."""
    if not contents:
        return "the file is empty"
    try:
        with listened():
            _decode(contents)
    except tf.errors.InvalidArgumentError as error:
        return " ".join(first_line(error).split()).rstrip(".")
    except tf.errors.ResourceExhaustedError:
        return "this process has not the memory to decode it"
    except UnicodeDecodeError:
        # TensorFlow quotes the file's bytes in its message, which Python takes for text.
        return "the file is damaged"
    return ""


def _decode(contents: Any, orientation: Any = 1, *, webp: bool = True) -> Any:
    """Returns float32 [h, w, 3], RGB, 0 to 1, upright."""
    start = tf.strings.substr(contents, 0, 12)
    kinds = [(tf.strings.regex_full_match(start, _BMP_START), lambda: _bmp_colours(contents))]
    if webp:
        is_webp = tf.strings.regex_full_match(start, _WEBP_START)
        kinds.insert(0, (is_webp, lambda: _webp_colours(contents)))
    image = tf.case(kinds, default=lambda: _colours(contents))
    # Turned as bytes, for which a quarter of the memory has to be found.
    image = _turned(tf.ensure_shape(image, [None, None, _RGB]), orientation)
    return tf.image.convert_image_dtype(image, tf.float32)


def _turned(image: Any, orientation: Any) -> Any:
    """Returns [h, w, 3] turned upright from an EXIF orientation; at 1 the very same."""
    orientation = tf.convert_to_tensor(orientation, tf.int32)

    def is_one_of(kinds: tuple[int, ...]) -> Any:
        return tf.reduce_any(tf.equal(orientation, kinds))

    def turned() -> Any:
        upright = tf.cond(
            is_one_of(TRANSPOSED), lambda: tf.transpose(image, [1, 0, 2]), lambda: image
        )
        upright = tf.cond(is_one_of(MIRRORED), lambda: upright[:, ::-1], lambda: upright)
        return tf.cond(is_one_of(UPSIDE_DOWN), lambda: upright[::-1], lambda: upright)

    return tf.ensure_shape(tf.cond(orientation == 1, lambda: image, turned), [None, None, _RGB])


def _colours(contents: Any) -> Any:
    """Returns uint8 [h, w, 3], decoded by TensorFlow."""
    return tf.io.decode_image(contents, channels=_RGB, expand_animations=False)


def _webp_colours(contents: Any) -> Any:
    """Returns uint8 [h, w, 3] of a WebP, without the transparency that TensorFlow refuses.

    TensorFlow 2.21 decodes all pictures of an animation, with transparency, into memory for three
    channels if the file says that it has none, and so writes beyond it. Such a file is made to say
    that it has transparency.
    """
    is_extended = tf.strings.regex_full_match(contents, _EXTENDED_WEBP_START)
    flags = tf.io.decode_raw(_part(contents, 20, 1), tf.uint8)[0]
    is_animation = tf.bitwise.bitwise_and(flags, _ANIMATION_FLAG) != 0

    def with_transparency() -> Any:
        parts = [
            _part(contents, 0, 20),
            tf.constant(bytes([_ANIMATION_FLAG | _ALPHA_FLAG])),
            _part(contents, 21, tf.strings.length(contents)),
        ]
        return tf.io.decode_webp(tf.strings.join(parts), channels=4)

    image = tf.cond(
        tf.logical_and(is_extended, is_animation),
        with_transparency,
        lambda: tf.io.decode_webp(contents, channels=0),
    )
    return image[0, :, :, :_RGB]


def _bmp_colours(contents: Any) -> Any:
    """Returns uint8 [h, w, 3] of a BMP, with the colours of its palette if it has one.

    TensorFlow gives places in the palette instead, as greys. Offsets are those of BITMAPINFOHEADER.
    """
    image = _colours(contents)

    def number(offset: int, kind: Any = tf.int32) -> Any:
        return tf.io.decode_raw(_part(contents, offset, kind.size), kind)[0]

    def looked_up() -> Any:
        used = number(46)
        size = 4 * tf.where(used == 0, 256, used)
        palette = tf.io.decode_raw(_part(contents, 14 + number(14), size), tf.uint8)
        blue_green_red = tf.reshape(palette, [-1, 4])[:, :_RGB]
        return tf.gather(blue_green_red[:, ::-1], tf.cast(image[..., 0], tf.int32))

    return tf.cond(number(28, tf.uint16) == 8, looked_up, lambda: image)


def _part(contents: Any, start: Any, size: Any) -> Any:
    """Returns so many bytes, or fewer at the end, and none beyond it.

    TensorFlow's error for that would quote the file, whose bytes Python cannot take for text.
    """
    start = tf.clip_by_value(start, 0, tf.strings.length(contents))
    return tf.strings.substr(contents, start, tf.maximum(size, 0))


def _resize(image: Any, size: Any) -> Any:
    """Returns the image resized bilinearly as TensorFlow 1 does it."""
    resized = tf.raw_ops.ResizeBilinear(
        images=image[tf.newaxis], size=size, align_corners=False, half_pixel_centers=False
    )
    return resized[0]

"""One folder with everything that people's photo folders turn out to hold."""

import functools
import io
import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Colour, encoded, solid, with_chunk_before
from forks import run_script
from PIL import Image

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.extraction import extract
from image_retraining.foundation.records import Extraction
from image_retraining.photos.folder import scan
from image_retraining.reports.odd_photos import left_out_lines

MEGABYTE = 2**20
RED = (200, 40, 60)
LARGE = solid(RED, noise=20, size=64)
PHOTO = Image.fromarray(solid(RED, size=16))


def png(
    width: int, height: int, row: bytes, *, kind: int, depth: int = 8, more: bytes = b""
) -> bytes:
    """Returns a PNG whose rows are all the same.

    Args:
        width: pixels.
        height: pixels.
        row: the bytes of a row.
        kind: PNG's number for grey (0), RGB (2) or a palette (3).
        depth: bits a value.
        more: chunks between header and pixels.
    """
    packer = zlib.compressobj()
    rows = b"".join([packer.compress(b"\0" + row) for _ in range(height)] + [packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), more, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


@functools.cache
def black_png(side: int, depth: int) -> bytes:
    return png(side, side, bytes((side * depth + 7) // 8), kind=0, depth=depth)


@functools.cache
def black_gif(*sizes: tuple[int, int], screen: int) -> bytes:
    """Returns a GIF of pictures of some sizes on a screen of another."""
    pictures = {size: encoded(Image.new("P", size), "GIF") for size in {*sizes}}
    starts = {size: drawn.index(b"\x2c", 13) for size, drawn in pictures.items()}
    some = pictures[sizes[0]]
    header = some[:6] + struct.pack("<HH", screen, screen) + some[10 : starts[sizes[0]]]
    return header + b"".join(pictures[size][starts[size] : -1] for size in sizes) + b";"


def black_jpeg(side: int) -> bytes:
    return encoded(Image.new("L", (side, side)), "JPEG", quality=1)


def resized_jpeg(side: int) -> bytes:
    """Returns a small JPEG whose header tells of other sides."""
    drawn = encoded(LARGE, "JPEG")
    start = drawn.index(b"\xff\xc0") + 5
    return drawn[:start] + struct.pack(">HH", side, side) + drawn[start + 4 :]


def black_webp(side: int) -> bytes:
    """Returns what an encoder makes of so many pixels, of which none takes a bit, in no time."""
    drawn = encoded(Image.new("RGB", (1, 1)), "WEBP", lossless=True, quality=0, method=0)
    start = drawn.index(b"\x2f") + 1
    sides = (side - 1) | (side - 1) << 14
    return drawn[:start] + sides.to_bytes(4, "little") + drawn[start + 4 :]


def black_webp_animation(canvas: int, side: int, pictures: int) -> bytes:
    """Returns an animation of equal pictures in the corner of a canvas."""
    body = webp_chunk(b"VP8X", b"\x02\0\0\0" + three_bytes(canvas - 1) * 2)
    body += webp_chunk(b"ANIM", bytes(6))
    frame = bytes(6) + three_bytes(side - 1) * 2 + bytes(4) + black_webp(side)[12:]
    body += webp_chunk(b"ANMF", frame) * pictures
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def three_bytes(number: int) -> bytes:
    return number.to_bytes(3, "little")


def bmp(side: int, data: bytes, *, packing: int = 0, depth: int = 24) -> bytes:
    """Returns a BMP with a header that may tell of more than its data."""
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, depth, packing, 0, 0, 0, 0, 0)
    palette = bytes(1024 if depth == 8 else 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def be_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def be_a_folder(path: Path) -> None:
    path.mkdir()


def be_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


# All of one colour, for which the module's vector is known.
ODD: dict[str, bytes] = {
    "cmyk.jpg": encoded(PHOTO.convert("CMYK"), "JPEG", quality=95),
    "progressive.jpg": encoded(PHOTO, "JPEG", quality=95, progressive=True),
    "16 bits.png": png(9, 7, struct.pack(">HHH", *(257 * c for c in RED)) * 9, kind=2, depth=16),
    "animated.gif": encoded(
        PHOTO.quantize(4),
        "GIF",
        save_all=True,
        append_images=[Image.new("P", (16, 16)), PHOTO.rotate(90).quantize(2)],
    ),
    "chunk before.png": with_chunk_before(png(9, 7, bytes(RED) * 9, kind=2)),
    "one pixel.png": encoded(solid(RED, size=1)),
    "wide.png": png(30000, 1, bytes(RED) * 30000, kind=2),
    "tall.png": png(1, 30000, bytes(RED), kind=2),
    "wide.jpg": encoded(np.full([1, 30000, 3], RED), "JPEG", quality=95),
    "tall.webp": encoded(np.full([16383, 1, 3], RED), "WEBP", lossless=True),
    "png, by its name a photo of another kind.JPEG": encoded(PHOTO),
    "something behind.jpg": encoded(PHOTO, "JPEG", quality=95) + b"\0" * 1000,
}
# Of one pixel in RED, and the same in boxes. TensorFlow decodes both.
JPEG_XL = bytes.fromhex("ff0a001010090800010034004b188b15c249dae501c4206820")
JPEG_XL_IN_BOXES = b"".join(
    struct.pack(">I", 8 + len(data)) + kind + data
    for kind, data in [
        (b"JXL ", b"\r\n\x87\n"),
        (b"ftyp", b"jxl \0\0\0\0jxl "),
        (b"jxlc", JPEG_XL),
    ]
)
GREY = encoded(PHOTO.convert("L"), "JPEG", quality=95)
# And what the reason says.
BROKEN: dict[str, tuple[bytes, str]] = {
    "no bytes.jpg": (b"", "empty"),
    "half.jpg": (encoded(LARGE, "JPEG")[:900], "JPEG"),
    "page.jpg": (b"<!DOCTYPE html>\n<html><title>404 Not Found</title></html>\n", "format"),
    "photo.heic.jpg": (b"\0\0\0\x18ftypheic" + bytes(500), "Pillow"),
    "jxl.jpg": (JPEG_XL, "is a JPEG XL"),
    "jxl in boxes.jpg": (JPEG_XL_IN_BOXES, "is a JPEG XL"),
    "packed.bmp": (bmp(16, b"\x10\x01" * 16, packing=1, depth=8), "not enough image data"),
    "four bits.bmp": (bmp(16, bytes(128), depth=4), "truncated"),
    # Once: TensorFlow's message quoted the file, whose size is no UTF-8, and ended the run.
    "no palette.bmp": (
        bmp(12, bytes(144), depth=8).replace(b"\x28\0\0\0", b"\x28\0\x01\0", 1),
        "indices",
    ),
    "no lines.png": (chunk(b"IHDR", bytes(13)), "format"),
    "screen only.gif": (
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";",
        "megapixels",
    ),
}
NO_FILES: dict[str, Callable[[Path], None]] = {
    "pipe.jpg": be_a_pipe,
    "folder.jpg": be_a_folder,
    "endless.jpg": be_endless,
}
# Each takes gigabytes to decode.
BOMBS: dict[str, Callable[[], bytes]] = {
    "one bit.png": lambda: black_png(16000, 1),
    "one byte.png": lambda: black_png(14500, 8),
    "chunk before.png": lambda: with_chunk_before(black_png(14500, 8)),
    "one picture.gif": lambda: black_gif((14500, 14500), screen=14500),
    "pictures.gif": lambda: black_gif(*[(10000, 10000)] * 30, screen=10000),
    "cut short.gif": lambda: black_gif(*[(10000, 10000)] * 30, screen=1)[:-5000],
    # All pictures lie on one canvas.
    "cross.gif": lambda: black_gif((16000, 1), (1, 16000), screen=1),
    "plain.webp": lambda: black_webp(16383),
    "animated.webp": lambda: black_webp_animation(2000, 2000, 250),
    "canvas.webp": lambda: black_webp_animation(15000, 1, 1),
    "whole.jpg": lambda: black_jpeg(14500),
    "header.jpg": lambda: resized_jpeg(14500),
    "larger header.jpg": lambda: resized_jpeg(65500),
    "header.bmp": lambda: bmp(14500, bytes(99)),
    "packed.bmp": lambda: bmp(14500, b"\0\1", packing=1, depth=8),
}
NAMES = [
    b"with space.png",
    b"two\nlines.png",
    b"end\r.png",
    b"\"quoted\" 'twice'.png",
    b"back\\slash.png",
    b"%s %d {0} $HOME `x`.png",
    "玫瑰 花.png".encode(),
    "🌹👩🏽‍🌾.png".encode(),
    "e\N{COMBINING ACUTE ACCENT}.png".encode(),
    b"not \xff\xfe UTF-8.png",
    b"-rf.png",
    b"x" * 251 + b".png",
]


ANIMATIONS: list[dict[str, Any]] = [
    {"lossless": True},
    {"quality": 90},
    {"lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"},
]


def extracted(folder: Path, backbone: Backbone) -> Extraction:
    catalog = scan(str(folder), validation_percentage=0, testing_percentage=0)
    with BottleneckCache(None) as cache:
        return extract(catalog, backbone, cache, engine=EngineChoice(), fail_on_bad_image=False)


def by_name(extraction: Extraction) -> dict[str, Any]:
    """Returns file name → feature vector."""
    return {
        os.path.basename(path): vector
        for photos in extraction.sets.values()
        for path, vector in zip(photos.paths, photos.features, strict=True)
    }


@pytest.fixture(scope="module")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    for label in ("good", "odd"):
        (folder / label).mkdir()
    for number in range(40):
        (folder / "good" / f"{number:02}.png").write_bytes(encoded(solid(RED, size=4 + number)))
    for name, contents in ODD.items():
        (folder / "odd" / name).write_bytes(contents)
    (folder / "odd" / "grey.jpg").write_bytes(GREY)
    for name, (contents, _) in BROKEN.items():
        (folder / "odd" / name).write_bytes(contents)
    for name, make in NO_FILES.items():
        make(folder / "odd" / name)
    return folder


@pytest.fixture(scope="module")
def odd_extraction(odd_folder: Path, colour_module: Path) -> Extraction:
    return extracted(odd_folder, load_backbone(str(colour_module)))


@pytest.mark.parametrize("name", ODD)
def test_odd_photos_give_their_colours(odd_extraction: Extraction, name: str) -> None:
    colour = np.array(RED) / 255
    expected = 10 * np.concatenate([colour, colour**2])
    # Some formats change a colour by a few levels of 255.
    np.testing.assert_allclose(by_name(odd_extraction)[name], expected, rtol=0, atol=0.2)


def test_a_grey_jpeg_gives_its_grey(odd_extraction: Extraction) -> None:
    grey = PHOTO.convert("L").getpixel((0, 0))
    assert isinstance(grey, int)
    np.testing.assert_allclose(by_name(odd_extraction)["grey.jpg"][:3], grey / 25.5, atol=0.1)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_photos_are_listed_with_the_reason(odd_extraction: Extraction, name: str) -> None:
    (reason,) = (
        photo.reason for photo in odd_extraction.unreadable if photo.path.endswith(f"/{name}")
    )
    assert BROKEN[name][1] in reason
    assert len(reason.splitlines()) == 1
    assert len(reason) < 300


def test_nothing_else_is_listed_or_lost(odd_extraction: Extraction, odd_folder: Path) -> None:
    listed = [os.path.basename(photo.path) for photo in odd_extraction.unreadable]
    assert listed == sorted(BROKEN)
    assert set(by_name(odd_extraction)) == {
        *(f"{number:02}.png" for number in range(40)),
        *ODD,
        "grey.jpg",
    }
    assert (odd_folder / "odd" / "pipe.jpg").is_fifo()


def test_good_photos_get_the_vectors_that_they_get_alone(
    odd_extraction: Extraction, colour_module: Path, tmp_path: Path
) -> None:
    for label, numbers in (("a", range(20)), ("b", range(20, 40))):
        (tmp_path / label).mkdir()
        for number in numbers:
            contents = encoded(solid(RED, size=4 + number))
            (tmp_path / label / f"{number:02}.png").write_bytes(contents)
    alone = by_name(extracted(tmp_path, load_backbone(str(colour_module))))
    among_others = by_name(odd_extraction)
    assert len(alone) == 40
    for name, vector in alone.items():
        np.testing.assert_array_equal(among_others[name], vector)


def test_any_name_is_read_and_listed_on_its_line(tmp_path: Path, colour_module: Path) -> None:
    contents = {"broken": b"no photo", "sound": encoded(PHOTO)}
    for label, data in contents.items():
        (tmp_path / label).mkdir()
        for name in NAMES:
            with open(os.path.join(os.fsencode(tmp_path / label), name), "wb") as file:
                file.write(data)
    extraction = extracted(tmp_path, load_backbone(str(colour_module)))
    assert {os.fsencode(name) for name in by_name(extraction)} == set(NAMES)
    listed = [photo.path for photo in extraction.unreadable]
    folder = os.fsencode(tmp_path / "broken")
    assert sorted(map(os.fsencode, listed)) == sorted(os.path.join(folder, name) for name in NAMES)
    first, *warnings = left_out_lines(extraction.unreadable, 2 * len(NAMES))
    assert first.startswith(f"WARNING: {len(NAMES)} of {2 * len(NAMES)} photos could not be read")
    escaped = [
        path.replace("\n", r"\n").replace("\r", r"\r").replace("\udcff\udcfe", r"\udcff\udcfe")
        for path in listed
    ]
    assert escaped != listed
    assert [message.rpartition(": ")[0] for message in warnings] == [f"  {p}" for p in escaped]


CHILD = """
import json, os, resource, sys

module, *folders = sys.argv[1:]
sys.path[:0] = ["tests", "tests/whole"]
import conftest
import test_bad_photos
from image_retraining.backbone.loading import load_backbone

# Should a bomb go off, it is to go off here alone.
resource.setrlimit(resource.RLIMIT_DATA, (12 << 30, 12 << 30))
conftest.flags.FLAGS(["child"])
backbone = load_backbone(module)
for folder in folders:
    extraction = test_bad_photos.extracted(folder, backbone)
    print(json.dumps({
        "vectors": {n: v.tolist() for n, v in test_bad_photos.by_name(extraction).items()},
        "reasons": {os.path.basename(p.path): p.reason for p in extraction.unreadable},
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }), flush=True)
"""


def extracted_elsewhere(module: Path, *folders: Path) -> list[dict[str, Any]]:
    """Returns what a process of its own finds in each of the folders, and its peak of memory."""
    script = folders[0].with_suffix(".py")
    script.write_text(CHILD)
    done = run_script(str(script), str(module), *map(str, folders))
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def folder_of(folder: Path, photos: dict[str, bytes]) -> Path:
    """Makes a folder of a class of good photos and one of the given ones."""
    for label in ("good", "odd"):
        (folder / label).mkdir(parents=True)
    for number in range(10):
        (folder / "good" / f"{number}.jpg").write_bytes(encoded(LARGE - number, "JPEG"))
    for name, contents in photos.items():
        (folder / "odd" / name).write_bytes(contents)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted otherwise elsewhere")
def test_bombs_are_left_out_before_they_take_memory(colour_module: Path, tmp_path: Path) -> None:
    ordinary = folder_of(tmp_path / "ordinary", {"some.png": encoded(PHOTO)})
    bombs = {name: make() for name, make in BOMBS.items()}
    assert all(len(contents) < 3 * MEGABYTE for contents in bombs.values())
    armed = folder_of(tmp_path / "armed", bombs)
    with (armed / "odd" / "huge.png").open("wb") as file:
        file.truncate(4096 * MEGABYTE)
    before, after = extracted_elsewhere(colour_module, ordinary, armed)
    assert set(after["reasons"]) == {*BOMBS, "huge.png"}
    assert all(len(reason.splitlines()) == 1 for reason in after["reasons"].values())
    assert all("megapixels" in after["reasons"][name] for name in BOMBS)
    assert after["peak"] - before["peak"] < 300 * MEGABYTE
    for name, vector in after["vectors"].items():
        assert vector == before["vectors"][name]


def animated(colours: list[Colour], size: int, **options: Any) -> bytes:
    """Returns a WebP with an opaque picture of each colour."""
    pictures = [Image.fromarray(solid(colour, size=size)) for colour in colours]
    contents = encoded(pictures[0], "WEBP", save_all=True, append_images=pictures[1:], **options)
    with Image.open(io.BytesIO(contents)) as image:
        assert image.mode == "RGB"
        image.seek(len(colours) - 1)
    return contents


def test_of_an_animated_webp_the_first_picture_counts(colour_module: Path, tmp_path: Path) -> None:
    # Once: TensorFlow wrote beyond the pictures' memory, which ended the process, or mixed them up.
    photos = {}
    for number in range(80):
        options = ANIMATIONS[number % len(ANIMATIONS)]
        colours = [RED, (0, 0, 0), (9, 99, 9)]
        photos[f"{number}.webp"] = animated(colours, 1 + number // 2, **options)
    (found,) = extracted_elsewhere(colour_module, folder_of(tmp_path / "photos", photos))
    assert found["reasons"] == {}
    for name in photos:
        np.testing.assert_allclose(found["vectors"][name][:3], np.array(RED) / 25.5, atol=0.2)

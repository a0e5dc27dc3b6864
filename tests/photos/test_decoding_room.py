"""Large photos in little memory: real processes with a limit, and what they took at most."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import encoded
from PIL import Image

from image_retraining.photos import decoding_room

REPOSITORY = Path(__file__).resolve().parents[2]
MEGA = 10**6
# Pixels, and what one such photo takes to decode, float32 RGB and its bytes among it.
LARGE = 20 * MEGA
TAKES = 15 * LARGE
# Decodes three large photos and three small ones, with so many bytes of address space left.
CODE = """
import resource, sys
from pathlib import Path
from image_retraining.photos import reading
from image_retraining.photos.batches import photo_batches, plain_photos
def said(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024
small, large, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
list(photo_batches(plain_photos([small], upright=True), (8, 8), batch_size=4))
limit = said("VmSize:") + left
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
Path("/proc/self/clear_refs").write_text("5")
before = said("VmRSS:")
photos = plain_photos([small, large] * 3, upright=True)
keys = [key for batch in photo_batches(photos, (8, 8), batch_size=4) for key in batch.keys]
print(len(keys), said("VmHWM:") - before, reading.why_left_out(large), sep="\\n")
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A small photo and a large one, whose file is small as well."""
    folder = tmp_path_factory.mktemp("photos")
    for name, size in (("small", (50, 40)), ("large", (5000, LARGE // 5000))):
        (folder / name).write_bytes(encoded(Image.new("L", size, 77)))
    return str(folder / "small"), str(folder / "large")


def decoded(photos: tuple[str, str], left: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *photos, str(left)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_large_photos_are_decoded_one_at_a_time_where_memory_is_short(
    photos: tuple[str, str],
) -> None:
    count, taken, _ = decoded(photos, 1200 * MEGA)
    assert int(count) == 6
    assert TAKES < int(taken) < 1.5 * TAKES


def test_a_photo_that_finds_no_memory_even_alone_is_left_out(photos: tuple[str, str]) -> None:
    count, taken, reason = decoded(photos, 600 * MEGA)
    assert int(count) == 3
    assert int(taken) < TAKES
    assert reason.startswith("the photo has 20 megapixels, and this process has memory for 1")


def test_with_memory_enough_all_processors_decode() -> None:
    room = decoding_room.DecodingRoom.now()
    assert room.streams == os.cpu_count()
    assert room.most_pixels > 12 * MEGA
    decoding_room.check_room(12 * MEGA)

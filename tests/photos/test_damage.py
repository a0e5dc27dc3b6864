"""JPEGs that can be decoded, though something of them is missing, made by cutting whole ones."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded
from PIL import Image

from image_retraining.photos import pixels
from image_retraining.photos.batches import PhotoBatch, photo_batches, plain_photos
from image_retraining.photos.damage import Damage, damage_of
from image_retraining.photos.decoder_warnings import listened

REPOSITORY = Path(__file__).resolve().parents[2]
END = b"\xff\xd9"
# Noise, of which every row takes as many bytes.
NOISE = np.random.default_rng(7).integers(0, 256, [320, 160, 3], np.uint8)
PREMATURE = "Corrupt JPEG data: premature end of data segment"


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    return encoded(Image.fromarray(NOISE).convert(mode), "JPEG", quality=60, **options)


def cut(contents: bytes, share: float, filling: bytes = b"") -> bytes:
    """Returns a JPEG of whose data only the first share is left, with the end mark.

    The filling, if any, is repeated in place of the rest.
    """
    start = contents.index(b"\xff\xda") + 14
    end = start + int((len(contents) - start) * share)
    # No half of a code that a marker would begin.
    end -= contents[end - 1] == 0xFF
    return contents[:end] + filling * (len(contents) - end - len(END)) + END


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("filling", [b"", b"\0", b"\xff"])
def test_the_share_that_is_missing_is_told(mode: str, share: float, filling: bytes) -> None:
    contents = cut(jpeg(mode), share, filling)
    assert pixels.why_unreadable(contents) == ""
    damage = damage_of(contents)
    assert damage is not None
    assert damage.missing == pytest.approx(1 - share, abs=0.06)
    assert damage.is_mostly_missing == (share < 0.5)
    assert str(damage) == f"about {damage.missing:.0%} of it is missing ({damage.warning})"


def test_a_jpeg_of_four_inks_is_told_by_its_bytes_and_rows() -> None:
    damage = damage_of(cut(jpeg("CMYK"), 0.3))
    assert damage is not None
    assert damage.missing == pytest.approx(0.7, abs=0.06)


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(jpeg(), id="baseline"),
        pytest.param(jpeg(progressive=True), id="progressive"),
        pytest.param(jpeg("L"), id="grey"),
        pytest.param(jpeg("CMYK"), id="four inks"),
        pytest.param(jpeg() + bytes(5000), id="zeros behind its end"),
        pytest.param(
            encoded(Image.new("RGB", (900, 900), (128, 128, 128)), "JPEG", optimize=True),
            id="all of it middle grey, in few codes",
        ),
        pytest.param(encoded(Image.fromarray(NOISE)), id="PNG"),
        pytest.param(b"\xff\xd8\xff", id="no more than a start"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="no photo"),
    ],
)
def test_nothing_is_said_of_what_no_decoder_warns_of(contents: bytes) -> None:
    assert damage_of(contents) is None


def test_what_is_spoilt_without_being_missing_is_damaged() -> None:
    contents = bytearray(jpeg())
    middle = len(contents) // 2
    contents[middle : middle + 40] = bytes(40)
    damage = damage_of(bytes(contents))
    assert damage is not None
    assert damage.warning.startswith("Corrupt JPEG data")
    assert not damage.is_mostly_missing
    assert str(Damage("Corrupt JPEG data: x", 0.001)) == "damaged (Corrupt JPEG data: x)"


# Which batches are suspect


def batches_of(paths: list[str]) -> list[PhotoBatch[int]]:
    return list(photo_batches(plain_photos(paths, upright=True), (8, 8), batch_size=4))


def test_batches_with_photos_that_the_decoder_warns_of_are_suspect(tmp_path: Path) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg())
    (tmp_path / "cut.jpg").write_bytes(cut(jpeg(), 0.5))
    damaged = {2, 3, 60, 99}
    names = ["cut.jpg" if n in damaged else "whole.jpg" for n in range(100)]
    batches = batches_of([str(tmp_path / name) for name in names])
    suspects = {key for batch in batches if batch.is_suspect for key in batch.keys}
    assert damaged <= suspects


def test_batches_that_come_long_after_are_not(tmp_path: Path) -> None:
    (tmp_path / "whole.jpg").write_bytes(encoded(Image.new("RGB", (9, 9)), "JPEG"))
    (tmp_path / "cut.jpg").write_bytes(cut(jpeg(), 0.5))
    paths = [str(tmp_path / name) for name in ["cut.jpg", *["whole.jpg"] * 400]]
    first, *_, last = batches_of(paths)
    assert first.is_suspect
    assert not last.is_suspect


def test_batches_of_whole_photos_are_not(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg())
    assert not any(batch.is_suspect for batch in batches_of([str(tmp_path / "whole.jpg")] * 50))
    assert capfd.readouterr().err == ""


def test_a_batch_without_some_pictures_has_the_others(tmp_path: Path) -> None:
    (tmp_path / "whole.jpg").write_bytes(jpeg())
    (batch,) = batches_of([str(tmp_path / "whole.jpg")] * 3)
    rest = batch.without({1})
    assert rest.keys == (0, 2)
    np.testing.assert_array_equal(rest.images, batch.images.numpy()[[0, 2]])
    assert batch.without({0, 1, 2}).images is None


# Listening to stderr


def test_warnings_are_heard_and_all_else_gets_through(capfd: pytest.CaptureFixture[str]) -> None:
    with listened() as has_warned:
        os.write(2, b"a line\n")
        assert not has_warned()
        os.write(2, f"half a li{PREMATURE}\nne\nPremature end of JPEG file\n".encode())
        assert has_warned()
        assert not has_warned()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "a line\nhalf a line\nafterwards\n"


def test_errors_of_the_decoder_that_name_no_photo_are_off_the_screen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = jpeg()
    quantization = whole.index(b"\xff\xdb")
    (tmp_path / "table.jpg").write_bytes(whole[: quantization + 4] + b"\x0f" + whole[-999:])
    # Once: "Bogus DQT index 15", by the decoder, and no word of whose it is.
    (batch,) = batches_of([str(tmp_path / "table.jpg")])
    assert batch.images is None
    with listened() as has_warned:
        os.write(2, b"Input file read error\nUnsupported marker type 0xbf\nBogus words\n")
        assert not has_warned()
    assert capfd.readouterr().err == "Bogus words\n"


def test_several_listen_at_a_time(capfd: pytest.CaptureFixture[str]) -> None:
    with listened() as first, listened() as second:
        os.write(2, f"{PREMATURE}\n".encode())
        assert first()
        assert second()
    with listened() as third:
        assert not third()
    os.write(2, b"still there\n")
    assert capfd.readouterr().err == "still there\n"


def test_who_ends_first_takes_stderr_from_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    first, second = listened(), listened()
    has_warned = first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    os.write(2, b"one\n")
    second.__exit__(None, None, None)
    os.write(2, b"two\n")
    assert capfd.readouterr().err == "one\ntwo\n"
    del has_warned


def test_stderr_that_was_given_to_another_stays_his(tmp_path: Path) -> None:
    kept = os.dup(2)
    with (tmp_path / "elsewhere").open("wb") as file:
        with listened():
            os.dup2(file.fileno(), 2)
        os.write(2, b"to the other\n")
    os.dup2(kept, 2)
    os.close(kept)
    assert (tmp_path / "elsewhere").read_text() == "to the other\n"


def test_a_process_that_was_started_meanwhile_is_heard_to_its_end(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with listened():
        child = subprocess.Popen(
            ["/bin/sh", "-c", "read wait; echo late >&2"], stdin=subprocess.PIPE
        )
    child.communicate(b"\n")
    assert child.returncode == 0
    for thread in threading.enumerate():
        if thread.name == "stderr":
            thread.join(10)
    assert capfd.readouterr().err == "late\n"


def test_blocks_that_are_forgotten_stop_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    # They are left where they are collected, as here by who is reading what was heard.
    def listening() -> Iterator[None]:
        with listened():
            yield

    read, forgotten = os.read, [listening()]
    next(forgotten[0])

    def read_and_collect(file: int, most: int) -> bytes:
        forgotten.clear()
        return read(file, most)

    def ask() -> None:
        with listened() as has_warned:
            has_warned()

    monkeypatch.setattr(os, "read", read_and_collect)
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(30)
    assert not asking.is_alive()
    assert not forgotten


# Listens to its end, in a block that nobody leaves, and says more than two pipes hold.
FORGOTTEN = """
import os
from image_retraining.photos.decoder_warnings import listened

def listening():
    with listened():
        yield

forgotten = [listening()]
next(forgotten[0])
forgotten.append(forgotten)
for _ in range(20):
    os.write(2, b"x" * 5999 + b"\\n")
"""


def test_a_block_that_is_forgotten_keeps_no_program_from_ending() -> None:
    # Once: its thread was stopped by the end of Python while it kept the lock, for which the end
    # waited for ever: one label_image.py in some hundreds that were interrupted.
    with subprocess.Popen(
        [sys.executable, "-c", FORGOTTEN], cwd=REPOSITORY, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        # It is at its end by then, and has not been heard yet.
        time.sleep(1)
        too_late = threading.Timer(30, process.kill)
        too_late.start()
        lines = process.stderr.read().splitlines()
        too_late.cancel()
    assert process.returncode == 0
    assert lines == [b"x" * 5999] * 20


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_without_a_stderr_nothing_fails(redirection: str) -> None:
    code = (
        "import os\n"
        "from image_retraining.photos.decoder_warnings import listened\n"
        "with listened() as has_warned:\n"
        f"    os.write(2, b'more\\n{PREMATURE}\\n')\n"
        "    print(has_warned())\n"
    )
    done = subprocess.run(
        ["/bin/bash", "-c", f'exec {sys.executable} -c "{code}" {redirection}'],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"

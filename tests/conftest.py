"""What the tests share: photos and modules made on the spot."""

import contextlib
import gc
import io
import os
import resource
import signal
import socket
import zlib
from collections.abc import Callable, Container, Generator, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Where two files are tested at a time, OpenBLAS's threads spun for what another process computes,
# and heads of scikit-learn took thirty times as long. They sleep after 2^4 cycles now, not 2^26.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
# Tests import onnxruntime themselves, which would report its use over the network.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import pytest
from absl import flags, logging
from PIL import Image

from image_retraining.foundation import interruption
from image_retraining.photos.preparation import Preparation, prepared

# So that what does not hold of a page is shown.
pytest.register_assert_rewrite("browser_here")
_IGNORED_BY_SOME = (signal.SIGINT, signal.SIGHUP)
# Files of tests that take more than ten seconds, the longest first: begun in this order, so that of
# two processes none is waited for in the end.
_LONGEST = (
    *("test_keras_models", "test_retrain", "test_real", "test_workers", "test_label_image"),
    *("test_run",),
    *("test_threads", "test_story", "test_command_line", "test_engines", "test_extraction"),
    *("test_memory", "test_efficientnet_lite", "test_decode_fuzz", "test_streams", "test_wiring"),
    *("test_decoding_room", "test_kept_backbone", "test_comparing", "test_loading", "test_load"),
    *("test_import_bottlenecks", "test_odd_names", "test_verification", "test_bad_photos"),
)
# The user id that systems give to nobody.
_NOBODY = 65534

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {"blue": (20, 30, 220), "green": (30, 200, 40), "red": (210, 25, 30)}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--real-data", help="folder of real photos and modules, for tests marked real")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    begun = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: begun.get(item.path.stem, len(begun)))
    if config.getoption("--real-data"):
        return
    for item in items:
        if "real" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs --real-data=FOLDER"))


def pytest_collection_finish() -> None:
    """Python looks for garbage in what tests leave, not in TensorFlow: in a quarter less time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names that are not UTF-8 stand in what tests log, and xdist's workers cannot send them."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def real_data(pytestconfig: pytest.Config) -> Path:
    return Path(pytestconfig.getoption("--real-data")).resolve()


@pytest.fixture(scope="session", autouse=True)
def parsed_flags() -> None:
    """tensorflow_hub looks at its flags, which absl forbids before they are parsed."""
    flags.FLAGS(["pytest"])


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What was logged, from INFO up, as `logged.messages`."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    yield caplog
    logging.set_verbosity(verbosity)


def encoded(pixels: Any, file_format: str = "PNG", **options: Any) -> bytes:
    """Returns the file of uint8 pixels [h, w, 3], or of a Pillow image."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.uint8(pixels))
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def seen(contents: bytes, *, upright: bool = True) -> Any:
    """Returns uint8 [h, w, 3] of a photo's file, as every stage sees it."""
    from image_retraining.photos import pixels  # noqa: PLC0415 - TensorFlow, as below

    ready = prepared(contents, Preparation.of(contents).wanted(upright=upright))
    return pixels.in_full(ready.contents, ready.orientation)


def with_chunk_before(contents: bytes) -> bytes:
    """Returns a PNG with a chunk of no known kind before its header, which is decoded as before."""
    kind = b"prVt"
    chunk = bytes(4) + kind + zlib.crc32(kind).to_bytes(4, "big")
    return contents[:8] + chunk + contents[8:]


def solid(colour: Colour, *, noise: int = 0, seed: int = 0, size: int = 12) -> Any:
    """Returns uint8 [size, size, 3] of one colour, give or take some noise."""
    pixels = np.full([size, size, 3], colour, np.int32)
    pixels += np.random.default_rng(seed).integers(-noise, noise + 1, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def draw_colours(folder: Path) -> Path:
    """Makes a folder of three classes of 30 photos, each class of one colour."""
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(30):
            contents = encoded(solid(colour, noise=9, seed=number))
            (folder / label / f"{label}_{number:02}.png").write_bytes(contents)
    return folder


def draw_misfiled(
    folder: Path,
    colours: Mapping[str, Colour],
    *,
    count: int,
    wrong: Container[int],
    noise: int,
    size: int = 12,
) -> Path:
    """Makes a folder of classes of one colour each, some photos of which have that of another.

    Args:
        folder: to make.
        colours: label → colour.
        count: photos a class.
        wrong: their numbers that have the colour of the class before.
        noise: how far pixels are from the colour.
        size: of a photo, in pixels.
    """
    names = list(colours)
    for place, label in enumerate(names):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            colour = colours[names[place - 1] if number in wrong else label]
            contents = encoded(solid(colour, noise=noise, seed=100 * place + number, size=size))
            (folder / label / f"{place}_{number:02}.png").write_bytes(contents)
    return folder


@pytest.fixture
def colour_photos(tmp_path: Path) -> Path:
    """A folder of three classes of 30 photos, each class of one colour that any head can learn."""
    return draw_colours(tmp_path / "photos")


def save_module(
    folder: Path,
    function: Callable[[Any], Any],
    shape: tuple[int | None, ...] = (None, 8, 8, 3),
    *,
    signature: str = "serving_default",
    dtype: Any = "float32",
) -> Path:
    """Writes a TF2 SavedModel whose signature gives the function's outputs times a variable, 1."""
    import tensorflow as tf  # noqa: PLC0415 - for seconds, and pytest-xdist waits for this file

    module = tf.Module()
    module.scale = tf.Variable(1.0)
    photos = tf.TensorSpec(shape, dtype, name="photos")
    module.answer = tf.function(
        lambda photos: tf.nest.map_structure(lambda out: out * module.scale, function(photos)),
        input_signature=[photos],
    )
    tf.saved_model.save(module, str(folder), signatures={signature: module.answer})
    return folder


def colour_statistics(photos: Any) -> Any:
    """Returns float32 [N, 6]: the mean of each channel, and of its square; times ten."""
    import tensorflow as tf  # noqa: PLC0415 - as above

    squares = tf.square(photos)
    return 10 * tf.concat([tf.reduce_mean(part, [1, 2]) for part in (photos, squares)], axis=1)


@pytest.fixture(scope="session")
def colour_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module of 8 x 8 photos whose features are their colours' statistics."""
    return save_module(tmp_path_factory.mktemp("modules") / "colour", colour_statistics)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window and without a network."""
    from browser_here import started  # noqa: PLC0415 - as above

    with started("disable-gpu") as driver:
        yield driver


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Lets file permissions count even when the tests run as root."""
    if os.getuid() != 0:
        yield
        return
    modes = {parent: parent.stat().st_mode for parent in (folder, *folder.parents)}
    modes = {parent: mode for parent, mode in modes.items() if mode & 0o011 != 0o011}
    for parent, mode in modes.items():
        parent.chmod(mode | 0o011)
    os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        for parent, mode in modes.items():
            parent.chmod(mode)


@contextlib.contextmanager
def hearing_signals() -> Iterator[None]:
    """Lets what is started meanwhile hear what a shell's background job or nohup ignores."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _IGNORED_BY_SOME}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def mode_of(folder: Path, mode: int) -> Iterator[None]:
    folder.chmod(mode)
    try:
        yield
    finally:
        folder.chmod(0o755)


@pytest.fixture
def interrupt_unheard(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Does what Ctrl-C does when a library drops the exception."""
    note = SimpleNamespace(is_made=False, holds_back=0, kind=KeyboardInterrupt)
    monkeypatch.setattr(interruption, "_note", note)
    return lambda: setattr(note, "is_made", True)


@pytest.fixture
def dead_url() -> str:
    """An address of this machine where nothing listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/module/1"


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Lets no file of this process grow beyond so many bytes, as on a disk that is full."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        signal.signal(signal.SIGXFSZ, heard)


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """What took its place so far. It fails where a power cut could leave less than its whole.

    That is where it was not on the disk before; and where its name was not, before something else
    took a place, or at the end.
    """
    places: list[Path] = []
    written: set[tuple[int, int]] = set()
    unnamed: set[int] = set()
    fsync = os.fsync

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        status = os.fstat(descriptor)
        written.add((status.st_ino, status.st_mtime_ns))
        unnamed.discard(status.st_ino)

    def noting(rename: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        def noted(source: Any, target: Any) -> None:
            for path in (Path(source), *Path(source).rglob("*")):
                status = path.stat()
                assert (status.st_ino, status.st_mtime_ns) in written, f"{path}, to be {target}"
            assert not unnamed, f"{places[-1]}, before {target}"
            rename(source, target)
            places.append(Path(target))
            unnamed.add(Path(target).parent.stat().st_ino)

        return noted

    for name in ("replace", "rename"):
        monkeypatch.setattr(os, name, noting(getattr(os, name)))
    monkeypatch.setattr(os, "fsync", noted_fsync)
    yield places
    assert not unnamed, places[-1]

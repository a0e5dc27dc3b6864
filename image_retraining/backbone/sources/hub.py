"""Module handle → its files: downloaded, unpacked, loaded. The only importer of tensorflow_hub."""

import contextlib
import hashlib
import http.client
import os
import shutil
import socket
import ssl
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from image_retraining.foundation.errors import DownloadError, ModuleError, first_line

MODULE_RULE = (
    "--tfhub_module must be an image module: a TensorFlow Hub URL, or the folder or .tar.gz file "
    "of a TF2 SavedModel or TF1 Hub module."
)

# How long a server may stay silent in the middle of a download.
_STALL_SECONDS = 60
# What urllib, ssl, tarfile, zlib, TensorFlow and tensorflow_hub raise for a download that fails.
_DOWNLOAD_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    http.client.HTTPException,
    zlib.error,
    tf.errors.OpError,
)
_ARCHIVES = (".tar.gz", ".tgz", ".tar")


def resolve(handle: str, *, patience: float) -> str:
    """Returns the local folder of a module, downloading or unpacking it when need be.

    Args:
        handle: URL, folder or .tar.gz file.
        patience: how long a server may take for its first byte, seconds.

    Raises:
        DownloadError: a URL's module cannot be downloaded.
        ModuleError: there is no such folder, or the archive cannot be unpacked.
    """
    if _is_url(handle):
        return _download(handle, patience)
    if handle.endswith(_ARCHIVES) and os.path.isfile(handle):
        return _unpack(handle)
    if not tf.io.gfile.isdir(handle):
        raise ModuleError(
            f"{MODULE_RULE} Got {handle or 'nothing'}, which does not exist as a folder."
        )
    return handle


def load(handle: str, folder: str) -> Any:
    """Returns the module in a folder, as tensorflow_hub loads it.

    Raises:
        ModuleError: it is no module, or a damaged one.
    """
    try:
        return _hub().load(folder)
    # What the loader raises for files that are missing, damaged, or made for other ops.
    except (OSError, ValueError, LookupError, RuntimeError, tf.errors.OpError) as error:
        reason = first_line(error)
        if _is_url(handle):
            # A download that was cut short in a place that tensorflow_hub does not notice.
            shutil.rmtree(folder, ignore_errors=True)
            reason += " (The download is discarded; the next run tries again.)"
        raise ModuleError(
            f"{MODULE_RULE} Got {handle}, which cannot be loaded: {reason}"
        ) from error


def has_reference_variables(module: Any) -> bool:
    """Whether a module in TF1 Hub format holds variables of a kind that TF2 cannot freeze."""
    graphs = [function.graph for function in module.signatures.values()]
    ops = (op for graph in graphs for op in graph.get_operations())
    return any(op.type in ("Variable", "VariableV2") for op in ops)


def frozen_tf1(folder: str) -> Callable[[Any], Any]:
    """Returns a TF1 Hub module's function from photos to its outputs by name, frozen by TF1."""
    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        signature = v1.saved_model.load(session, [], folder).signature_def["default"]
        outputs = {key: info.name for key, info in signature.outputs.items()}
        nodes = [name.partition(":")[0] for name in outputs.values()]
        graph_def = v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), nodes
        )
    (photos,) = (info.name for info in signature.inputs.values())

    def answer(images: Any) -> dict[str, Any]:
        tensors = tf.graph_util.import_graph_def(
            graph_def, input_map={photos: images}, return_elements=list(outputs.values()), name=""
        )
        return dict(zip(outputs, tensors, strict=True))

    return answer


def fingerprint(folder: str) -> str:
    """Returns the SHA-256 over the names and contents of a module's files, hexadecimal.

    A file counts as its path below the folder and its content, each after its length as 8 bytes,
    little-endian; the files are taken in the order of their paths. Hidden files do not count.
    """
    content = hashlib.sha256()
    for path in sorted(_files_below(folder)):
        with tf.io.gfile.GFile(path, "rb") as file:
            data = file.read()
        name = os.path.relpath(path, folder).replace(os.sep, "/").encode()
        for part in (name, data):
            content.update(len(part).to_bytes(8, "little"))
            content.update(part)
    return content.hexdigest()


def _hub() -> Any:
    """Returns tensorflow_hub, whose import takes long enough to be felt, when it is needed."""
    with warnings.catch_warnings():
        # tensorflow-hub 0.16.1 still uses pkg_resources, which warns of its own retirement.
        warnings.simplefilter("ignore")
        import tensorflow_hub.resolver  # noqa: PLC0415

    return tensorflow_hub


def _is_url(handle: str) -> bool:
    return handle.startswith(("http://", "https://"))


def _download(url: str, patience: float) -> str:
    """Returns the folder where tensorflow_hub keeps the module of a URL, after downloading it."""
    try:
        if not _is_downloaded(url):
            logging.info("Downloading the module %s", url)
            _await_answer(url, patience)
        with _socket_timeout(_STALL_SECONDS):
            return str(_hub().resolve(url))
    except _DOWNLOAD_ERRORS as error:
        raise DownloadError(url, _why(error)) from error


def _why(error: Exception) -> str:
    """Returns in one line why a download failed."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, socket.gaierror):
        return f"its server's name is not known ({cause.strerror}); is this machine online?"
    return " ".join(str(cause).split()) or type(error).__name__


def _is_downloaded(url: str) -> bool:
    """Whether tensorflow_hub has the module: it keeps it under the SHA-1 of its URL."""
    cache = _hub().resolver.tfhub_cache_dir(use_temp=True)
    folder = os.path.join(cache, hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest())
    return bool(tf.io.gfile.isdir(folder) and tf.io.gfile.listdir(folder))


def _await_answer(url: str, patience: float) -> None:
    """Waits for the server's first byte, because tensorflow_hub itself would wait for ever.

    Raises:
        TimeoutError: nothing came within so many seconds.
        OSError: the server cannot be reached.
    """
    outcome: list[Exception | None] = []

    def ask() -> None:
        separator = "&" if "?" in url else "?"
        question = f"{url}{separator}tf-hub-format=compressed"
        try:
            with urllib.request.urlopen(question, timeout=patience) as answer:  # noqa: S310
                answer.read(1)
            outcome.append(None)
        except (urllib.error.HTTPError, ssl.SSLError):
            # The server is there; tensorflow_hub has its own say about certificates and errors.
            outcome.append(None)
        except urllib.error.URLError as error:
            is_certificate = isinstance(error.reason, ssl.SSLError)
            outcome.append(None if is_certificate else error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            outcome.append(error)

    # The time-out of urlopen does not cover the name look-up; a thread can be left behind.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(patience)
    if not outcome:
        raise TimeoutError(f"no answer within {patience:g} seconds")
    if outcome[0] is not None:
        raise outcome[0]


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unpack(archive: str) -> str:
    """Returns the folder of a .tar.gz module, unpacked once into tensorflow_hub's cache folder."""
    cache = Path(_hub().resolver.tfhub_cache_dir(use_temp=True))
    try:
        with open(archive, "rb") as file:
            folder = cache / hashlib.file_digest(file, "sha256").hexdigest()
        if not folder.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as temporary:
                unpacked = Path(temporary) / "module"
                with tarfile.open(archive) as tar:
                    tar.extractall(unpacked, filter="data")
                _move(_without_wrapper(unpacked), folder)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ModuleError(
            f"{MODULE_RULE} Got {archive}, which cannot be unpacked: {error}"
        ) from error
    return str(folder)


def _without_wrapper(unpacked: Path) -> Path:
    """Returns the folder that is all there is in a folder, as in archives packed from outside."""
    entries = [entry for entry in unpacked.iterdir() if not entry.name.startswith(".")]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else unpacked


def _move(unpacked: Path, folder: Path) -> None:
    try:
        unpacked.rename(folder)
    except OSError:
        # Another process may have been faster; its folder has the same content.
        if not folder.is_dir():
            raise


def _files_below(folder: str) -> Iterator[str]:
    for place, _, names in tf.io.gfile.walk(folder):
        parts = os.path.relpath(place, folder).split(os.sep)
        if any(part.startswith(".") and part != "." for part in parts):
            continue
        for name in names:
            if not name.startswith("."):
                yield os.path.join(place, name)

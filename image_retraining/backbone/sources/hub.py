"""Handle of a URL, a folder or an archive → the module, downloaded or unpacked."""

import hashlib
import http.client
import os
import shutil
import ssl
import threading
import urllib.error
import urllib.request
from functools import partial

import tensorflow as tf

from image_retraining.backbone.handles import ARCHIVES, MODULE_RULE, SAVED_MODEL_FILE
from image_retraining.backbone.sources import library
from image_retraining.backbone.sources.archive import unpacked
from image_retraining.backbone.sources.downloads import DOWNLOAD_ERRORS, no_silence, why
from image_retraining.backbone.sources.folder import module_in
from image_retraining.backbone.sources.kept import check_kept, closed_to_others, folder_for_modules
from image_retraining.backbone.sources.source import FoundModule, PhotoFunction, Request
from image_retraining.foundation.errors import DamagedModuleError, DownloadError, ModuleError
from image_retraining.foundation.log_lines import notice


class HubModules:
    """Modules by URL, and those in a folder or an archive on this machine."""

    def takes(self, handle: str) -> bool:  # noqa: ARG002 - what nobody else takes is looked for here
        """Returns True: whatever it is, this source says what is wrong with it."""
        return True

    def find(self, request: Request) -> FoundModule:
        """Returns a module, after downloading or unpacking it when need be."""
        folder = resolve(request.handle, patience=request.patience)
        found = module_in(folder, request.handle)
        if not _is_url(request.handle):
            return found
        return FoundModule(found.fingerprint, partial(_loaded_download, found, folder))


def resolve(handle: str, *, patience: float) -> str:
    """Returns the local folder of a module, downloading or unpacking it when need be.

    Args:
        handle: URL, folder or .tar.gz file.
        patience: how long a server may take for its first byte, seconds.

    Raises:
        DownloadError: a URL's module cannot be downloaded.
        ModuleError: there is no such folder, or the archive cannot be unpacked, or somebody else
            may have put there what is kept of it.
    """
    if _is_url(handle):
        return _download(handle, patience)
    if handle.endswith(ARCHIVES) and os.path.isfile(handle):
        return unpacked(handle)
    if os.path.basename(handle) == SAVED_MODEL_FILE and os.path.isfile(handle):
        return os.path.dirname(handle) or "."
    if not _is_folder(handle):
        raise ModuleError(
            f"{MODULE_RULE} Got {handle or 'nothing'}, which does not exist as a folder."
        )
    return handle


def _loaded_download(found: FoundModule, folder: str) -> PhotoFunction:
    """Returns a downloaded module's function; discards a download that turns out to be broken."""
    try:
        return found.load()
    except DamagedModuleError as error:
        # Cut short in a place that tensorflow_hub does not notice.
        shutil.rmtree(folder, ignore_errors=True)
        raise ModuleError(
            f"{error} (The download is discarded; the next run tries again.)"
        ) from error


def _is_url(handle: str) -> bool:
    return handle.startswith(("http://", "https://"))


def _is_folder(handle: str) -> bool:
    """Whether there is a folder on this machine or, by an address, elsewhere."""
    if "://" not in handle:
        return os.path.isdir(handle)
    try:
        return bool(tf.io.gfile.isdir(handle))
    # TensorFlow takes no address that is not UTF-8.
    except UnicodeEncodeError:
        return False


def _download(url: str, patience: float) -> str:
    """Returns the folder where tensorflow_hub keeps the module of a URL, after downloading it."""
    try:
        if not _is_downloaded(url):
            notice("Downloading the module %s", url)
            _await_answer(url, patience)
        with no_silence(), closed_to_others():
            folder = library.resolve(url)
    except DOWNLOAD_ERRORS as error:
        raise DownloadError(url, why(error)) from error
    check_kept(folder)
    return folder


def _is_downloaded(url: str) -> bool:
    """Whether tensorflow_hub has the module: it keeps it under the SHA-1 of its URL."""
    folder = os.path.join(
        folder_for_modules(), hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    )
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

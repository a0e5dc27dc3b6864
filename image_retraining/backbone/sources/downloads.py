"""What downloads have in common: how they fail, and how long a server may stay silent."""

import contextlib
import http.client
import socket
import zlib
from collections.abc import Iterator

import tensorflow as tf

# How long a server may stay silent in the middle of a download.
_STALL_SECONDS = 60
# What urllib, ssl, tarfile, zlib, TensorFlow and tensorflow_hub raise for a download that fails.
DOWNLOAD_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    http.client.HTTPException,
    zlib.error,
    tf.errors.OpError,
)


@contextlib.contextmanager
def no_silence() -> Iterator[None]:
    """Lets no server stay silent for ever, for libraries that set no limit themselves."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def why(error: BaseException) -> str:
    """Returns in one line why a download failed."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, socket.gaierror):
        return f"its server's name is not known ({cause.strerror}); is this machine online?"
    return " ".join(str(cause).split()) or type(error).__name__

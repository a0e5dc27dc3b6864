"""What can go wrong, in kinds a caller can tell apart."""

import errno
import re
from typing import Any, Self

from image_retraining.foundation.text import shown

_LONGEST_REASON = 300
_NODE = re.compile(r"^\{\{.*?\}\} ")
# Of a disk, of a person's share of it, and of the size of a file.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RetrainError(Exception):
    """Something the user can put right; its text says the rule, what came and what to do."""

    def __init__(self, text: str = "") -> None:
        """Takes the text, in which there may be names and words of others."""
        super().__init__(shown(text))


class SettingError(RetrainError):
    """A flag has a value that cannot be used."""


class PhotoError(RetrainError):
    """The photos, or the folders they lie in, cannot be used as they are."""


class ModuleError(RetrainError):
    """The module cannot be had, or is not one that turns photos into feature vectors."""


class DamagedModuleError(ModuleError):
    """The files of a module are there, but cannot be loaded."""


class DownloadError(ModuleError):
    """A module cannot be downloaded.

    Attributes:
        reason: why, without the address.
    """

    def __init__(self, url: str, reason: str) -> None:
        """Takes the module's address and why it cannot be downloaded."""
        end = "" if reason.endswith("?") else "."
        super().__init__(
            f"{url} cannot be downloaded: {reason}{end} Check the address and the connection (a "
            "proxy is taken from HTTPS_PROXY), or download the module elsewhere and name its "
            "folder or .tar.gz file with --tfhub_module."
        )
        self.reason = reason
        self._url = url

    def __reduce__(self) -> tuple[Any, ...]:
        """Says how it is made again; else a process that is sent it would give its words alone."""
        return type(self), (self._url, self.reason), self.__dict__


class EngineError(RetrainError):
    """The engine that is to compute feature vectors is missing, or cannot take the module."""


class ClusterError(RetrainError):
    """Other machines or processes cannot compute what they were asked for."""

    @classmethod
    def not_installed(cls, library: str) -> Self:
        """Returns the error of a library that is missing here."""
        return cls(
            f"What other processes compute, and what has an address, needs {library}. Install it: "
            "pip install -r requirements-distributed.txt, or 'image-retraining[distributed]'."
        )


class OutputError(RetrainError):
    """A file cannot be written."""


class CacheError(RetrainError):
    """The bottleneck cache cannot be used as it is."""


class CheckpointError(RetrainError):
    """The state of an interrupted training cannot be used."""


class GraphError(RetrainError):
    """A graph or its labels file cannot be read or does not fit what is asked of it."""


class ExportError(RetrainError):
    """The graph cannot be written in the format that is asked for."""


class VerificationError(Exception):
    """An exported file gives other answers than the training: a defect of this project."""

    def __init__(self, text: str = "") -> None:
        """Takes the text, in which there may be names of others."""
        super().__init__(shown(text))


def unwritable(name: object, error: OSError) -> OutputError:
    """Returns what to say of something that cannot be written.

    Args:
        name: of it.
        error: why.
    """
    reason = error.strerror or error
    advice = "Make room, or name" if error.errno in _NO_ROOM else "Name"
    return OutputError(f"{name} cannot be written: {reason}. {advice} another place.")


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message; libraries add pages to it.

    Around TensorFlow's own words it leaves out where in its graphs they were said.
    """
    line = str(error).strip().partition("\n")[0]
    return _NODE.sub("", line).partition(" [Op:")[0]


def short_line(error: Exception) -> str:
    """Returns the same without line feeds, of bounded length, as a sentence."""
    line = " ".join(first_line(error).split())[:_LONGEST_REASON].rstrip(".")
    return f"{line or type(error).__name__}."

"""File → what kind of photo it is, by the ending of its name, or by its first bytes without one.

A kind that can be read, and a kind that must be converted before, are a row each of KINDS.
"""

import functools
import importlib.util
import os
import re
from collections.abc import Collection
from dataclasses import dataclass

from image_retraining.photos.opening import opened

_MAGICK = "find {folder} {names} -exec mogrify -format jpg {{}} +  (ImageMagick)"
_EXIFTOOL = "exiftool -r {extensions} -b -JpgFromRaw -w jpg {folder}  (ExifTool)"
_ANY_START = 32


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of photo files.

    Attributes:
        name: what people call it.
        endings: of names, in small letters.
        start: what the first bytes are; nothing begins so where it is empty.
        converting: the command that makes JPEG files of all below {folder} that {names}, of
            find, or {extensions}, of exiftool, choose; '' of a kind that is always read.
        package: with which it is read without converting, if it is installed; '' for none.
    """

    name: str
    endings: tuple[str, ...]
    start: bytes = b""
    converting: str = ""
    package: str = ""

    @property
    def is_read(self) -> bool:
        """Whether such files are photos to this program."""
        return not self.converting or _is_installed(self.package)

    def advice(self, folder: str, met: Collection[str]) -> str:
        """Returns what to do about such files.

        Args:
            folder: below which they lie, as a shell takes it.
            met: the endings that names there have.
        """
        endings = [ending for ending in self.endings if ending in met] or self.endings[:1]
        names = " -o ".join(f"-iname '*{ending}'" for ending in endings)
        command = self.converting.format(
            folder=folder,
            names=rf"\( {names} \)" if len(endings) > 1 else names,
            extensions=" ".join(f"-ext {ending[1:]}" for ending in endings),
        )
        if not self.package:
            return command
        return f"pip install {self.package.replace('_', '-')}, or {command}"


KINDS = (
    FileKind("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif"), rb"\xff\xd8\xff"),
    FileKind("PNG", (".png",), rb"\x89PNG\r\n\x1a\n"),
    FileKind("GIF", (".gif",), rb"GIF8[79]a"),
    # After the size, four bytes that are 0, and where the pixels begin: the size of the header.
    FileKind("BMP", (".bmp",), rb"BM.{4}\0{4}.{4}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0{3}"),
    FileKind("WebP", (".webp",), rb"RIFF.{4}WEBP"),
    FileKind(
        "HEIC",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
        _MAGICK,
        package="pillow_heif",
    ),
    FileKind("AVIF", (".avif", ".avifs"), rb".{4}ftypavi[fs]"),
    FileKind("TIFF", (".tif", ".tiff"), rb"II\*\0|MM\0\*"),
    FileKind("JPEG 2000", (".jp2", ".j2k", ".j2c", ".jpf", ".jpx"), rb"\0\0\0\x0cjP  "),
    FileKind("JPEG XL", (".jxl",), rb"\0\0\0\x0cJXL ", _MAGICK),
    FileKind("Photoshop", (".psd", ".psb"), rb"8BPS", _MAGICK),
    FileKind(
        "RAW",
        (
            *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf"),
            *(".orf", ".rw2", ".rwl", ".pef", ".srw", ".x3f", ".3fr", ".fff", ".iiq", ".mef"),
            *(".mos", ".mrw", ".kdc", ".dcr", ".erf", ".gpr"),
        ),
        converting=_EXIFTOOL,
    ),
)


@functools.cache
def _is_installed(package: str) -> bool:
    return bool(package) and importlib.util.find_spec(package) is not None


_BY_ENDING = {ending: kind for kind in KINDS for ending in kind.endings}


def has_photo_ending(name: str) -> bool:
    """Returns whether a name alone, in any letter case, says that a file is a photo."""
    kind = _BY_ENDING.get(ending_of(name))
    return kind is not None and kind.is_read


def kind_of(path: str) -> FileKind | None:
    """Returns the kind of a file, which is opened only if its name has no ending; else None."""
    ending = ending_of(path)
    return _BY_ENDING.get(ending) if ending else _kind_by_content(path)


def kind_of_contents(contents: bytes) -> FileKind | None:
    """Returns the kind of a file by its first bytes; else None."""
    for kind in KINDS:
        if kind.start and re.match(kind.start, contents, re.DOTALL):
            return kind
    return None


def ending_of(path: str) -> str:
    """Returns the ending of a name in small letters, as .jpg; '' where it has none."""
    return os.path.splitext(path)[1].lower()


def _kind_by_content(path: str) -> FileKind | None:
    try:
        with opened(path) as file:
            start = file.read(_ANY_START)
    except OSError:
        return None
    return kind_of_contents(start)

"""Lists that people's programs write, in a file or a pipe → what they list.

Windows puts a mark before what it writes: Notepad before UTF-8, PowerShell's `>` before UTF-16.
Other programs write UTF-16 without one: every other of its first bytes is 0, and there are line
feeds, which no list has between NULs.
`find -print0` ends each name with NUL, for names may hold line feeds.
"""

import codecs

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Bytes: two letters.
_TELLING = 4


def listed(content: bytes) -> list[str]:
    """Returns the lines of a text, or what NULs end in it where there are any.

    Empty ones at the end are none. Bytes that are not UTF-8 become surrogates, as in file names.

    Raises:
        UnicodeError: it has the mark of UTF-16 and is something else.
    """
    text = _decoded(content)
    if "\0" in text:
        parts = text.split("\0")
    else:
        parts = [line.removesuffix("\r") for line in text.split("\n")]
    while parts and not parts[-1]:
        parts.pop()
    return parts


def _decoded(content: bytes) -> str:
    if content.startswith(_UTF_16_MARKS):
        return content.decode("utf-16", errors="surrogatepass")
    if len(content) >= _TELLING and b"\n" in content:
        for zeros, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if not any(content[zeros:_TELLING:2]) and all(content[1 - zeros : _TELLING : 2]):
                return content.decode(encoding, errors="surrogatepass")
    return content.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")

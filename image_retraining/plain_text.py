"""Names of files and labels → text that stays on its line in the log."""

import unicodedata

# These have no shape of their own, but join the letters and emoji of some labels.
_JOINERS = "\u200c\u200d"


def shown(text: str) -> str:
    r"""Returns a text on one line: what is no visible character is an escape, as \n is."""
    return "".join(
        character
        if character.isprintable()
        or character in _JOINERS
        or unicodedata.category(character) == "Zs"
        else character.encode("unicode_escape").decode()
        for character in text
    )

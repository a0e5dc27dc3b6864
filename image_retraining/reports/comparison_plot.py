"""Compared modules → a bubble plot: how accurate, how quick, how large."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

from absl import logging

from image_retraining.evaluation.comparison import Comparison, Contender
from image_retraining.foundation.files import replacing
from image_retraining.foundation.settings import require
from image_retraining.foundation.text import shown

_SUFFIXES = (".png", ".svg")
_INCHES, _DOTS_AN_INCH = (9.0, 5.0), 150
# Points squared of a bubble of one megabyte.
_AREA = 12.0
_LONGEST_NAME = 32
# Some system has each of them, and with it the letters of East Asia.
_WIDER_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Micro Hei", "PingFang SC"),
    *("Hiragino Sans GB", "Microsoft YaHei", "Arial Unicode MS"),
)
# Blue for what is as good as the best, grey for the others; told by the outline, too.
_AS_GOOD, _WORSE = "#1f6feb", "#6e7781"


def check_plot_file(path: str) -> None:
    """Raises SettingError unless a name says which format the picture is to be in."""
    require(
        Path(path).suffix.lower() in _SUFFIXES,
        "--compare_plot must end in .png or .svg, which says its format",
        path,
    )


class ComparisonPlot:
    """Draws the comparison at once, as the file of it is written."""

    def __init__(self, path: str) -> None:
        """Takes the file, of one of the two endings; nothing is drawn yet."""
        self._path = path

    def tell(self, finding: object) -> None:
        """Draws the picture when modules have been compared.

        Raises:
            OutputError: it cannot be written.
        """
        if isinstance(finding, Comparison):
            draw_comparison(self._path, finding)
            logging.info("Save plot of the comparison to : %s", self._path)

    def close(self) -> None:
        """Does nothing: the picture is drawn at once."""


def draw_comparison(path: str, found: Comparison) -> None:
    """Draws the modules: accuracy against time a photo, the area being the size of the graph.

    Args:
        path: of a .png or .svg file.
        found: what to draw.

    Raises:
        OutputError: the file cannot be written.
    """
    drawn = bubbles(found, Path(path).suffix.lower().removeprefix("."))
    with replacing(path) as temporary:
        temporary.write_bytes(drawn)


def bubbles(found: Comparison, kind: str) -> bytes:
    """Returns the picture's file; of equal comparisons it is the same.

    Args:
        found: what to draw.
        kind: "png" or "svg".
    """
    from matplotlib import font_manager, rc_context  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, NullLocator  # noqa: PLC0415

    installed = font_manager.get_font_names()
    settings = {
        "font.family": ["DejaVu Sans", *(font for font in _WIDER_FONTS if font in installed)],
        # Text stays text in SVG: whoever shows it has letters for it.
        "svg.fonttype": "none",
        "svg.hashsalt": "comparison",
    }
    with rc_context(settings):
        figure = Figure(figsize=_INCHES, dpi=_DOTS_AN_INCH, layout="constrained")
        axes = figure.add_subplot()
        for place, one in enumerate(found.contenders):
            _bubble(axes, found, place, one)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("ms a photo (the exported graph, one photo at a time; logarithmic)")
        axes.set_ylabel("cross-validated accuracy in %, with its 95% interval")
        axes.margins(x=0.15, y=0.12)
        axes.grid(visible=True, alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        title = "Area: MB of the graph. Blue and filled: not told apart from the best."
        axes.set_title(title, fontsize=9, loc="left")
        drawn = io.BytesIO()
        with warnings.catch_warnings():
            # A name in letters that the font has not is boxes in PNG, and itself in SVG.
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            metadata = {"Date": None} if kind == "svg" else None
            figure.savefig(drawn, format=kind, metadata=metadata)
        return drawn.getvalue()


def _bubble(axes: Any, found: Comparison, place: int, one: Contender) -> None:
    as_good = found.is_as_good(place)
    colour = _AS_GOOD if as_good else _WORSE
    accuracy = one.crossed.metrics.accuracy * 100
    low, high = (end * 100 for end in one.crossed.metrics.accuracy_interval)
    milliseconds = one.costs.milliseconds
    axes.errorbar(
        milliseconds, accuracy, yerr=[[accuracy - low], [high - accuracy]], color=colour, capsize=3
    )
    axes.scatter(
        milliseconds,
        accuracy,
        s=_AREA * one.costs.megabytes,
        facecolor=colour if as_good else "none",
        edgecolor=colour,
        alpha=0.6,
    )
    is_recommended = one is found.recommended
    # Beside the axes, one below the other as they are ordered: there no name covers another.
    axes.annotate(
        f"{_short(one.module)}\n{accuracy:.1f}%, {milliseconds:.1f} ms, "
        f"{one.costs.megabytes:.1f} MB{', recommended' if is_recommended else ''}",
        (milliseconds, accuracy),
        xytext=(1.04, 1 - (place + 0.5) / len(found.contenders)),
        textcoords="axes fraction",
        verticalalignment="center",
        fontsize=8,
        fontweight="bold" if is_recommended else "normal",
        arrowprops={"arrowstyle": "-", "relpos": (0, 0.5), "color": colour, "alpha": 0.5},
    )


def _short(module: str) -> str:
    """Returns what tells a module from others in a picture: the end of a path, or of a URL."""
    if "://" in module:
        name = module.partition("://")[2].removeprefix("tfhub.dev/")
    else:
        # keras:NAME:FILE has a path behind its name.
        name = re.sub(r"(^|:)[^:]*/", r"\1", module.rstrip("/"))
    # A dollar sign begins a formula, for matplotlib.
    name = shown(name).replace("$", r"\$")
    return name if len(name) <= _LONGEST_NAME else f"...{name[-_LONGEST_NAME:]}"

"""Writes docs/flags.md from the settings of both scripts: python tools/flags_page.py."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_retraining.foundation.settings import settings_of
from image_retraining.labelling.config import LabelConfig
from image_retraining.retraining.config import RetrainConfig

PAGE = Path(__file__).resolve().parent.parent / "docs/flags.md"

_START = """# Flags

Made from the settings by `tools/flags_page.py`; `-h` says the same. A flag of yes or no is named
to say yes, `--resume`, and with `no` before it to say no, `--noresume`. From Python they are the
settings of [`train`](python.md). Exit codes of both scripts: 0 done, 2 something that you can put
right, 130 interrupted (143 by SIGTERM, 129 by SIGHUP), 1 a defect of this project.
"""
# Where the default is another on each machine.
_DEFAULTS = {
    "bottleneck_dir": "`bottleneck_cache` beside retrain.py; of the installed command, "
    "`image-retraining` in the user's cache folder",
    "tfhub_cache_dir": "`image-retraining/modules` in the user's cache folder",
}


def page() -> str:
    """Returns the page."""
    parts = [_START]
    for script, config in (("retrain.py", RetrainConfig), ("label_image.py", LabelConfig)):
        parts.append(f"## {script}\n")
        if script == "retrain.py":
            names = ", ".join(f"`--{name}`" for name in config.COMMON)
            parts.append(f"What most people need: {names}.\n")
        groups: dict[str, list[str]] = {}
        for field in settings_of(config):
            groups.setdefault(field.metadata["group"], []).append(_row(field))
        for group, rows in groups.items():
            head = "| flag | default | meaning |\n| --- | --- | --- |"
            parts.append("\n".join([f"### {group}\n", head, *rows]) + "\n")
    return "\n".join(parts)


def _row(field: dataclasses.Field[Any]) -> str:
    default = _DEFAULTS.get(field.name) or _shown(field.default)
    choices = field.metadata["choices"]
    meaning = field.metadata["meaning"].replace("|", "\\|")
    if choices:
        meaning += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    return f"| `--{field.name}` | {default} | {meaning} |"


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"`{default}`" if default not in ("", ()) else ""


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE}")


if __name__ == "__main__":
    main()

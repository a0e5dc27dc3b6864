"""Links what pip would install to where it lies already: link_packages.py REPORT TARGET.

REPORT is of `pip install --dry-run --report`, TARGET a folder of packages. Each package is taken
from the environment that runs this; one that is not there in the release that pip names ends it.
"""

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any


def link(wanted: dict[str, Any], target: Path) -> int:
    """Links packages, and returns how many.

    Args:
        wanted: pip's report.
        target: a folder of packages.
    """
    releases = {
        one["metadata"]["name"]: one["metadata"]["version"]
        for one in wanted["install"]
        # One that was named on the command line is installed, not linked.
        if not one["requested"]
    }
    for name, release in releases.items():
        package = importlib.metadata.distribution(name)
        if package.version != release:
            raise SystemExit(f"pip takes {name} {release}, and here is {package.version}.")
        source = Path(str(package.locate_file("")))
        # Commands lie elsewhere.
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            (target / top).symlink_to(source / top)
    return len(releases)


if __name__ == "__main__":
    print(f"{link(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))} packages linked")

"""The folder of a whole run, as --output_dir makes one: what a reader finds in it."""

import json
import os
from pathlib import Path
from typing import Any

from image_retraining.foundation.errors import GraphError

GRAPH, LABELS, SETTINGS = "model.pb", "labels.txt", "settings.json"


def graph_in(path: str) -> str:
    """Returns the graph of the run whose folder a path is; the path itself if it is none.

    Raises:
        GraphError: it is the folder of a run, and there is no graph in it.
    """
    graph = os.path.join(path, GRAPH)
    if os.path.isfile(graph):
        return graph
    run = said_by(path)
    if run is None:
        return path
    advice = (
        f"The run wrote its graph to {run['settings']['output_graph']}: name that."
        if run["finished"]
        else "The run has not finished: retrain.py --resume goes on with it."
    )
    raise GraphError(
        f"--graph must be a classifier, or the folder of a finished run. Got {path}, which has a "
        f"{SETTINGS} and no {GRAPH}. {advice}"
    )


def said_by(folder: str) -> dict[str, Any] | None:
    """Returns what the run of a folder says of itself in its settings.json; None if there is none.

    Its keys are those that reports/settings_file.py writes; `finished` is None until it is.
    """
    try:
        content = json.loads(Path(folder, SETTINGS).read_bytes())
    # A folder may hold whatever has that name.
    except (OSError, ValueError, RecursionError):
        return None
    is_ours = (
        isinstance(content, dict)
        and "finished" in content
        and isinstance(content.get("settings"), dict)
        and isinstance(content["settings"].get("output_graph"), str)
    )
    return content if is_ours else None


def holds_finished_run(folder: str) -> bool:
    """Whether a folder's run has finished; what a run says of itself goes before what is there."""
    run = said_by(folder)
    if run is not None:
        return bool(run["finished"])
    graph = os.path.join(folder, GRAPH)
    return os.path.lexists(graph) and not os.path.isdir(graph)

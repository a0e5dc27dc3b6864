"""The folder of a whole run, as --output_dir makes one: what a reader finds in it."""

import os

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
    if os.path.isfile(os.path.join(path, SETTINGS)):
        raise GraphError(
            f"--graph must be a classifier, or the folder of a finished run. Got {path}, which has "
            f"a {SETTINGS} and no {GRAPH}. Finish the run, with retrain.py --resume, or name the "
            "graph, if it was written elsewhere."
        )
    return path

"""A frozen module in a file of its own, for workers: once a run, and once for each of them.

It is a NumPy archive, whose parts have checksums; its name is the hash of what is in it.
"""

import hashlib
import io
import json
import os
import zipfile

import numpy as np

from image_retraining.backbone.loading import Backbone
from image_retraining.features.shards import places
from image_retraining.foundation.errors import ClusterError

_TOLD = ("input_name", "output_name", "image_size", "fingerprint", "tuned_above", "made_of")
_DIGITS = 40


def put(folder: str, backbone: Backbone) -> str:
    """Returns the name of the file of a module, which is written if it is not there.

    Args:
        folder: a folder, or the address of one.
        backbone: the module.

    Raises:
        OutputError: it cannot be written.
    """
    told = json.dumps({name: getattr(backbone, name) for name in _TOLD}, sort_keys=True)
    samples = backbone.sample_vectors.astype("<f4")
    digest = hashlib.sha256(told.encode() + samples.tobytes() + backbone.graph)
    name = f"{digest.hexdigest()[:_DIGITS]}.module.npz"
    if name not in places.names(folder):
        file = io.BytesIO()
        graph = np.frombuffer(backbone.graph, np.uint8)
        np.savez(file, told=np.array(told), samples=samples, graph=graph)
        places.write(os.path.join(folder, name), file.getvalue())
    return name


def get(folder: str, name: str) -> Backbone:
    """Returns the module of a file.

    Raises:
        ClusterError: it is not there, or damaged.
    """
    place = os.path.join(folder, name)
    try:
        with np.load(io.BytesIO(places.read(place)), allow_pickle=False) as parts:
            told = json.loads(str(parts["told"]))
            graph, samples = parts["graph"].tobytes(), parts["samples"].astype(np.float32)
    except OSError as error:
        raise ClusterError(
            f"Every worker must reach --shard_dir by the same name. Got {place}: "
            f"{error.strerror or error}. Name a folder that all machines share, or an address."
        ) from error
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ClusterError(
            f"{place} is damaged ({error}). Remove it, and run again: it is written anew."
        ) from error
    told["image_size"] = tuple(told["image_size"])
    return Backbone(handle=name, credit="", graph=graph, sample_vectors=samples, **told)

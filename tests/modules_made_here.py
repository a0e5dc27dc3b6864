"""Small modules of every kind, and a server that hands them out well or badly."""

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.backbone.loading import Backbone
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.foundation.records import Floats

FEATURE_SIZE = 5
WEIGHTS: Any = np.random.default_rng(7).normal(size=[3, FEATURE_SIZE]).astype(np.float32)
TRAINING_SHIFT = 1000.0


def random_photos(count: int, height: int = 8, width: int = 8) -> Any:
    """Returns float32 [count, height, width, 3], equal for equal arguments."""
    return np.random.default_rng(3).random([count, height, width, 3], np.float32)


def expected_features(photos: Any) -> Any:
    """Returns what `features` gives, worked out by numpy: float32 [N, FEATURE_SIZE]."""
    return photos.mean(axis=(1, 2)) @ WEIGHTS


def features(weights: Any, photos: Any) -> Any:
    """Returns each photo's mean colour times the weights."""
    return tf.matmul(tf.reduce_mean(photos, [1, 2]), weights)


def vectors_of(backbone: Backbone, photos: Floats, engine: str = "tensorflow") -> Floats:
    """Returns the feature vectors of photos, by an engine."""
    # A batch would be of 32 photos, of which an engine computes eight in one go.
    padded = np.pad(photos, [(0, -len(photos) % 8), (0, 0), (0, 0), (0, 0)])
    return EngineChoice(engine).make(backbone)(padded)[: len(photos)]


def photos_spec(*shape: int | None, dtype: Any = tf.float32, name: str = "photos") -> Any:
    return tf.TensorSpec(shape or (None, 8, 8, 3), dtype, name=name)


def save_signature(
    folder: Path,
    answer: Callable[..., Any] = features,
    *inputs: Any,
    signature: str = "serving_default",
) -> Path:
    """Writes a TF2 SavedModel whose signature is answer(weights, *inputs)."""
    module = tf.Module()
    module.weights = tf.Variable(WEIGHTS)
    module.answer = tf.function(lambda *given: answer(module.weights, *given))
    traced = module.answer.get_concrete_function(*(inputs or [photos_spec()]))
    tf.saved_model.save(module, str(folder), signatures={signature: traced})
    return folder


def save_callable(
    folder: Path,
    answer: Callable[..., Any],
    *traces: dict[str, Any],
    photos: Any = None,
) -> Path:
    """Writes a reusable SavedModel without signatures.

    Args:
        folder: to write to.
        answer: its method, of self, photos and whatever the traces name; self.weights is there.
        traces: further arguments of each call that the module is to know.
        photos: TensorSpec, if not of 8 x 8 photos.
    """
    kind = type("Reusable", (tf.Module,), {"__call__": tf.function(answer)})
    module = kind()
    module.weights = tf.Variable(WEIGHTS)
    for arguments in traces or ({},):
        module.__call__.get_concrete_function(photos or photos_spec(), **arguments)
    tf.saved_model.save(module, str(folder))
    return folder


def save_tf1_hub(
    folder: Path, *, use_resource: bool = True, answer: Callable[[Any], Any] | None = None
) -> Path:
    """Writes a module in TF1 Hub format: a graph without tags, another for training.

    `answer` gives, of photos [N, 8, 8, 3], the features; in place of those of `features`.
    """
    builder = tf.compat.v1.saved_model.Builder(str(folder))
    for tags in ([], ["train"]):
        graph = tf.Graph()
        with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
            images = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="images")
            weights = tf.compat.v1.get_variable(
                "weights", initializer=WEIGHTS, use_resource=use_resource
            )
            output = answer(images) if answer else features(weights, images)
            output += TRAINING_SHIFT if tags else 0.0
            info = tf.compat.v1.saved_model.build_tensor_info
            signature = tf.compat.v1.saved_model.build_signature_def(
                {"images": info(images)}, {"default": info(output)}, "default"
            )
            session.run(tf.compat.v1.global_variables_initializer())
            if tags:
                builder.add_meta_graph(tags, {"default": signature})
            else:
                builder.add_meta_graph_and_variables(session, tags, {"default": signature})
    builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return folder


def no_folder(_: Path) -> None:
    """Makes nothing."""


def empty_folder(path: Path) -> None:
    path.mkdir()


def some_file(path: Path) -> None:
    path.write_text("no module")


def packed(folder: Path, *, mode: str = "w:gz") -> bytes:
    """Returns the archive of a folder's content, as TensorFlow Hub packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        tar.add(folder, arcname=".")
    return buffer.getvalue()


def archive_with(name: str, content: bytes = b"content") -> bytes:
    """Returns a .tar.gz with one file of that name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass(frozen=True)
class ModuleServer:
    """A server of this machine: the module's URL, and the paths asked for so far."""

    url: str
    requests: list[str]


@contextmanager
def served(
    body: bytes, *, status: int = 200, manner: str = "whole", port: int = 0
) -> Iterator[ModuleServer]:
    """Serves a body at /module/1 of 127.0.0.1 until the end of the block.

    Args:
        body: of every answer.
        status: of every answer.
        manner: 'whole'; 'silent', which takes the request and says nothing; 'stalled', which goes
            silent after half of the body; 'cut', which hangs up there; 'babble', which sends the
            body as it is, without any HTTP.
        port: to listen at; 0 is any that is free.
    """
    requests: list[str] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            # A client that has heard enough may hang up.
            with suppress(ConnectionError):
                self._answer()

        def _answer(self) -> None:
            if manner == "silent":
                over.wait()
            elif manner == "babble":
                self.wfile.write(body)
            else:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if manner == "whole" else body[: len(body) // 2])
                if manner == "stalled":
                    over.wait()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=[0.01])
        serving.start()
        try:
            yield ModuleServer(f"http://127.0.0.1:{server.server_port}/module/1", requests)
        finally:
            over.set()
            server.shutdown()
            serving.join()

"""What fine-tuning brings, and what an epoch above the cut costs.

    python benchmarks/fine_tuning.py --image_dir flower_photos --tfhub_module MODULE
    python benchmarks/fine_tuning.py --digits 700 --tfhub_module MODULE --tfhub_module OTHER

Each photo is tested once, in one of the folds: of the others, three quarters are learnt from, and
one quarter says which epoch is kept, or the head alone, as in retrain.py. The accuracies are of all
folds together, with 95% intervals (Wilson's), and McNemar's exact test tells the two apart.

Then an epoch above the cut, of kept activations, is compared with one in which each photo is
decoded and goes through the whole network, of which the same layers are trained; on the same photos
and in turn, so that the ratio holds on a busy machine too. For a network of Keras, as
keras:MobileNetV2:random, an epoch of Keras' own `fit` on a tf.data pipeline is timed as well: the
lower layers are frozen, and normalisation stays in inference mode, as its guide to fine-tuning has
it.

--digits takes scikit-learn's handwritten digits, enlarged to photos: unlike what networks know.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags, logging

from image_retraining.foundation.importing import import_tensorflow


def main() -> None:
    """Prints a line a module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    ask_for_photos_and_modules(parser)
    parser.add_argument("--fine_tune", default="auto")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning_rate", type=float, action="append")
    parser.add_argument("--weight_decay", type=float, default=0.01)
    parser.add_argument("--patience", type=int, default=0)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--views", type=int, default=0, help="flipped and cropped views of each")
    parser.add_argument("--rounds", type=int, default=3, help="of the epochs that are timed")
    arguments = started(parser)
    with tempfile.TemporaryDirectory() as folder:
        photos = arguments.image_dir or draw_digits(Path(folder, "digits"), arguments.digits)
        for module in arguments.tfhub_module:
            bench = Bench(photos, module, str(Path(folder, "cache")), arguments)
            for rate in arguments.learning_rate or [1e-4]:
                bench.compare(rate)
            if arguments.rounds:
                bench.time_epochs()


def ask_for_photos_and_modules(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say what to measure on."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--image_dir", help="folder of class folders")
    source.add_argument("--digits", type=int, help="so many handwritten digits instead")
    parser.add_argument("--tfhub_module", action="append", required=True)


def started(parser: argparse.ArgumentParser) -> Any:
    """Returns the arguments, after TensorFlow has been imported."""
    arguments = parser.parse_args()
    flags.FLAGS(sys.argv[:1])
    logging.set_verbosity("ERROR")
    import_tensorflow()
    return arguments


def all_to_learn_from(image_dir: str) -> Any:
    """Returns the catalog of a folder, in which all photos are training photos."""
    from image_retraining.foundation.records import Split
    from image_retraining.photos.folder import scan

    catalog = scan(
        image_dir, split="names", validation_percentage=0, testing_percentage=0, named=frozenset()
    )
    records = tuple(replace(one, split=Split.TRAINING) for one in catalog.records)
    return replace(catalog, records=records)


def loaded(cache: Any, module: str) -> Any:
    """Returns the backbone of a module, as retrain.py loads it."""
    from image_retraining.backbone.keras_names import AVERAGE
    from image_retraining.retraining import extracting

    settings = extracting.ModuleSettings(
        tfhub_module=module,
        open_image_size=None,
        module_is_default=False,
        pooling=AVERAGE,
        feature_layer="",
    )
    return extracting.load(cache, settings)


def extraction(views: Any) -> Any:
    """Returns how vectors of photos and some views are to be computed."""
    from image_retraining.retraining import extracting

    return extracting.ExtractionSettings(
        bottleneck_engine="auto",
        bottleneck_precision="float32",
        on_bad_image="skip",
        views=views,
    )


def draw_digits(folder: Path, count: int) -> str:
    """Writes the first digits of scikit-learn's as photos of 224 x 224 pixels."""
    from PIL import Image
    from sklearn.datasets import load_digits

    found = load_digits()
    for number, (pixels, label) in enumerate(zip(found.images, found.target, strict=True)):
        if number < count:
            place = folder / str(label) / f"{number:04}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray((pixels * 15.9).astype(np.uint8))
            picture.resize((224, 224), Image.Resampling.BICUBIC).convert("RGB").save(place)
    return str(folder)


class Bench:
    """A module on photos, whose vectors and activations are computed once."""

    def __init__(self, image_dir: str, module: str, cache_dir: str, arguments: Any) -> None:
        """Computes them."""
        from image_retraining.cache.opening import open_cache
        from image_retraining.features.engines.choice import choose_engine
        from image_retraining.foundation.records import Split
        from image_retraining.photos.distortions import Distortion, Views
        from image_retraining.retraining import cut_examples, extracting
        from image_retraining.tuning.cuts import chosen, cuts
        from image_retraining.tuning.flow import Flow

        self.arguments, self.module = arguments, module
        catalog = all_to_learn_from(image_dir)
        distortion = Distortion(flip_left_right=True, random_crop=15, random_brightness=20)
        views = Views(distortion, arguments.views) if arguments.views else Views()
        self.how = extraction(views)
        # It stays open for as long as the program runs.
        self.cache = open_cache(cache_dir).__enter__()
        self.backbone = loaded(self.cache, module)
        vectors = extracting.extract(catalog, self.backbone, self.cache, self.how)
        self.photos = vectors.sets[Split.TRAINING]
        self.labels = catalog.labels
        self.flow = Flow(self.backbone)
        self.cut = chosen(cuts(self.flow), self.flow, arguments.fine_tune)
        started = time.monotonic()
        sets = {Split.TRAINING: self.photos, Split.VALIDATION: self.photos.rows([])}
        classifier = cut_examples.Classifier(catalog, self.backbone, sets, None)  # type: ignore[arg-type]
        self.examples, _ = cut_examples.examples(
            classifier, self.flow, self.cut, self.cache, self.how
        )
        self.seconds = time.monotonic() - started
        self.engine = choose_engine("auto", "float32").name
        print(
            f"{module}: {len(self.photos)} photos, {len(self.labels)} classes; cut at "
            f"{self.cut.tensor} {self.cut.shape}, {self.cut.bytes_a_photo / 1000:.1f} kB a photo, "
            f"{self.cut.share_above:.0%} of the weights above; activations in {self.seconds:.1f} s",
            flush=True,
        )

    def head(self, training: Sequence[int], validation: Sequence[int]) -> Any:
        """Returns the solved head of some photos, chosen by others."""
        from image_retraining.head.best_head import chosen
        from image_retraining.head.regularization_path import regularization_path

        ones = np.ones([len(self.labels)], np.float32)
        choice = None
        for point in regularization_path(
            self.photos.rows(training),
            self.photos.rows(validation),
            l2=None,
            label_smoothing=0.0,
            class_weights=ones,
            validation_weights=ones,
        ):
            choice = chosen(choice, point.report)
        if choice is None:
            raise ValueError("There must be photos to validate a head on.")
        return choice.head

    def trainer(self, head: Any, rate: float, *, whole: bool = False) -> Any:
        """Returns what trains the layers above the cut, from activations or from whole photos."""
        from image_retraining.tuning.cuts import ALL, chosen
        from image_retraining.tuning.tail import Tail
        from image_retraining.tuning.trainer import Fitting, Trainer

        fitting = Fitting(
            epochs=self.arguments.epochs,
            learning_rate=rate,
            weight_decay=self.arguments.weight_decay,
            batch_size=self.arguments.batch_size,
            label_smoothing=0.0,
            patience=self.arguments.patience,
            seed=0,
        )
        start = chosen([], self.flow, ALL) if whole else self.cut
        tail = Tail(self.flow, start, trained_above=self.cut)
        return Trainer(tail, head, fitting, np.ones([len(self.labels)], np.float32))

    def compare(self, rate: float) -> None:
        """Prints how the head alone and what is kept do on the photos of all folds."""
        from sklearn.model_selection import StratifiedKFold

        from image_retraining.evaluation.comparison import mcnemar
        from image_retraining.evaluation.intervals import of_accuracy
        from image_retraining.tuning.fitting import fit

        ids = self.photos.label_ids
        alone, kept = np.zeros([len(ids)], np.bool_), np.zeros([len(ids)], np.bool_)
        epochs, seconds = [], []
        dealer = StratifiedKFold(self.arguments.folds, shuffle=True, random_state=0)
        inner = StratifiedKFold(4, shuffle=True, random_state=1)
        for rest, test in dealer.split(ids, ids):
            training, validation = (rest[rows] for rows in next(inner.split(rest, ids[rest])))
            head = self.head(training.tolist(), validation.tolist())
            trainer = self.trainer(head, rate)
            parts = [Some(self.examples, rows) for rows in (training, validation, test)]
            alone[test] = trainer.logits(parts[2]).argmax(axis=1) == ids[test]
            started = time.monotonic()
            nowhere = self.nowhere()
            state = fit(trainer, parts[0], parts[1], nowhere, goes_on=False, tell=lambda _: None)
            seconds.append((time.monotonic() - started) / max(1, len(state.epochs) - 1))
            epochs.append(state.kept.number)
            trainer.set_state(replace(state, numbers=state.best))
            kept[test] = trainer.logits(parts[2]).argmax(axis=1) == ids[test]
        text = []
        for name, right in (("head alone", alone), ("kept", kept)):
            low, high = of_accuracy(float(right.mean()), len(right))
            text.append(f"{name} {right.mean():.1%} ({low:.1%} to {high:.1%})")
        print(
            f"  rate {rate:g}: {', '.join(text)}, p = {mcnemar(alone, kept):.3g}; epochs kept "
            f"{epochs}, {statistics.median(seconds):.2f} s an epoch",
            flush=True,
        )

    def nowhere(self) -> Any:
        """Returns what keeps a state that nobody reads."""
        from image_retraining.foundation.state_file import StateFile
        from image_retraining.tuning.fitted import arrays_of, state_of

        return StateFile(os.devnull, {}, arrays_of=arrays_of, state_of=state_of, done=lambda _: "")

    def time_epochs(self) -> None:
        """Prints what an epoch costs, above the cut and through the whole network."""
        from image_retraining.foundation.progress import Progress
        from image_retraining.tuning.pictures import Pictures

        rows = np.arange(len(self.photos))
        head = self.head(rows.tolist(), rows[::4].tolist())
        whole = Pictures(self.photos, self.how.views, self.backbone.image_size)
        ways = {
            "above the cut": (self.trainer(head, 1e-4), self.examples),
            "whole": (self.trainer(head, 1e-4, whole=True), whole),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        few = Some(whole, rows[:32])
        for trainer, examples in ways.values():
            # What is traced once is no part of an epoch.
            part = few if examples is whole else Some(examples, rows[:32])
            trainer.train(part, 1, Progress("", 32, shown=False))
        fit = keras_fit(self) if self.module.startswith("keras:") else None
        for number in range(self.arguments.rounds):
            for name, (trainer, examples) in ways.items():
                started = time.monotonic()
                trainer.train(examples, number + 1, Progress("", len(rows), shown=False))
                taken[name].append(time.monotonic() - started)
            if fit:
                started = time.monotonic()
                fit()
                taken.setdefault("by Keras", []).append(time.monotonic() - started)
        seconds = {name: statistics.median(values) for name, values in taken.items()}
        above = seconds.pop("above the cut")
        others = [f"{other:.1f} s {name}: {above / other:.2f}" for name, other in seconds.items()]
        print(
            f"  an epoch of {len(rows)} photos: {above:.1f} s above the cut, with photos decoded "
            f"and through the whole {', '.join(others)}",
            flush=True,
        )


def keras_fit(bench: Bench) -> Any:
    """Returns what trains a Keras network above the cut for an epoch, as Keras' users do."""
    import keras
    import tensorflow as tf

    from image_retraining.backbone.keras_names import KerasName
    from image_retraining.backbone.sources.keras_networks import network, preprocessing

    name = KerasName.of(bench.module)
    size = bench.backbone.image_size
    model = network(name, size, "avg")
    places = [layer.name for layer in model.layers]
    # The layer is a scope of the tensor's name, with a number after it.
    scopes = [scope.removesuffix("_1") for scope in bench.cut.tensor.split("/")]
    last = max(places.index(scope) for scope in scopes if scope in places)
    for layer in model.layers[: last + 1]:
        layer.trainable = False
    photos = keras.Input([*size, 3])
    found = model(preprocessing(name.network)(photos), training=False)
    classifier = keras.Model(photos, keras.layers.Dense(len(bench.labels))(found))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(1e-4), loss)

    def decoded(path: Any, label_id: Any) -> Any:
        image = tf.io.decode_image(tf.io.read_file(path), 3, expand_animations=False)
        return tf.image.resize(image, size), label_id

    paths, label_ids = list(bench.photos.paths), bench.photos.label_ids
    data = tf.data.Dataset.from_tensor_slices((paths, label_ids)).shuffle(len(paths))
    data = data.map(decoded, tf.data.AUTOTUNE).batch(bench.arguments.batch_size).prefetch(2)
    classifier.fit(data.take(2), verbose=0, shuffle=False)
    return lambda: classifier.fit(data, verbose=0, shuffle=False)


class Some:
    """Some photos of others."""

    def __init__(self, examples: Any, rows: Any) -> None:
        """Takes the others, and which of them."""
        self._examples, self._rows = examples, np.asarray(rows, np.int32)
        self.label_ids = examples.label_ids[self._rows]
        self.view_count = examples.view_count

    def rows(self, rows: Any, view_numbers: Any) -> Any:
        """Returns what is at the cut of some photos."""
        return self._examples.rows(self._rows[rows], view_numbers)


if __name__ == "__main__":
    main()

"""Trains the built-in module: a small network learns a large one's feature vectors.

The teacher, a TF Hub module, gives each crop of each thumbnail a feature vector; the student, which
sees the same crop in fewer pixels, learns to tell it (feature distillation: Hinton, Vinyals and
Dean, "Distilling the Knowledge in a Neural Network", 2015, with vectors in the place of logits).
No labels, and no weights from elsewhere.

It needs tar files of thumbnails, JPEG of 128 x 128 pixels, and a teacher; 8 sets of crops of 24,000
thumbnails take 0.5 GB in --work_dir. The module was made with the defaults, 84 epochs of 64 and 80
pixels, in 90 minutes on 2 cores: it tells 0.336 of the teacher's variance on thumbnails held back,
and has 0.783 in the probe of benchmarks/features.py. The card,
image_retraining/backbone/builtin/README.md, has the command, the curve, and what else was tried.
"""

import argparse
import csv
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from builtin_student import FEATURES, BatchNorm, HubModule, features, folded, student
from builtin_teacher import SEED, Crops, Pixels, Teacher, pictures, random_crops, thumbnails, whole
from tqdm import tqdm

_STEPS_A_CHECKPOINT = 200
_STOPPED = "Stopped; the same command goes on from here."
_WEIGHT_DECAY = 0.03
# What the projection is multiplied by. Adam moves all 1280 weights of an output at once, which
# without this would shake it more than there is to learn.
_PROJECTION_SCALE = 0.05
# Of the module's features: the standard deviation of all of them.
_SPREAD = 0.6
# Of the running average of the weights, whose students are evaluated and exported.
_AVERAGE = 0.999


class Trainer:
    """A student with all that its training needs, which can be stopped and gone on with."""

    def __init__(self, folder: Path, targets: Any, *, rate: float, total_steps: int) -> None:
        """Makes a student, or takes it up where the last training in the folder left it.

        Args:
            folder: for checkpoints.
            targets: [N, D], the teacher's vectors, for their mean and spread.
            rate: of learning, at its highest.
            total_steps: of the training, over which the rate falls to 0.
        """
        rows = np.asarray(targets, np.float32)
        self._mean, self._spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-3)
        self.model, self.average = student(), student()
        width = rows.shape[1]
        self._projection, self._average_projection = projection(width), projection(width)
        self._learnt = [*self.model.trainable_variables, *self._projection.trainable_variables]
        falling = keras.optimizers.schedules.CosineDecay(
            0.0, total_steps, warmup_target=rate, warmup_steps=total_steps // 20
        )
        self._optimizer = keras.optimizers.AdamW(falling, weight_decay=_WEIGHT_DECAY)
        self._optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        self._optimizer.build(self._learnt)
        self.step = tf.Variable(0, dtype=tf.int64)
        checkpoint = tf.train.Checkpoint(
            model=self.model,
            average=self.average,
            projection=self._projection,
            average_projection=self._average_projection,
            optimizer=self._optimizer,
            step=self.step,
        )
        self._manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=2)
        self._manager.restore_or_initialize()
        if int(self.step) == 0:
            self._average_in(0.0)

    def save(self) -> None:
        """Writes a checkpoint."""
        self._manager.save(checkpoint_number=int(self.step))

    @tf.function(reduce_retracing=True)
    def learn(self, photos: Any, boxes: Any, colours: Any, targets: Any, side: int) -> Any:
        """Takes one step; returns the loss before it, a scalar."""
        seen = pictures(photos, boxes, colours, side)
        wanted = (tf.cast(targets, tf.float32) - self._mean) / self._spread
        with tf.GradientTape() as tape:
            told = self._projection(self.model(seen, training=True), training=True)
            loss = tf.reduce_mean(tf.square(told - wanted))
        gradients = tape.gradient(loss, self._learnt)
        self._optimizer.apply_gradients(zip(gradients, self._learnt, strict=True))
        self.step.assign_add(1)
        # It follows closely at first, when the weights of the start are worth nothing.
        share = (1.0 + tf.cast(self.step, tf.float32)) / (10.0 + tf.cast(self.step, tf.float32))
        self._average_in(tf.minimum(_AVERAGE, share))
        return loss

    def _average_in(self, kept: Any) -> None:
        pairs = [
            *zip(self.average.variables, self.model.variables, strict=True),
            *zip(self._average_projection.variables, self._projection.variables, strict=True),
        ]
        for average, now in pairs:
            average.assign(kept * average + (1.0 - kept) * tf.convert_to_tensor(now))

    def agreement(self, photos: Pixels, targets: Any, side: int) -> tuple[float, float]:
        """Returns how much of the teacher's variance the average student tells, and the cosine.

        Args:
            photos: uint8 [n, 128, 128, 3], held back from the training.
            targets: [n, D].
            side: pixels of what the student sees.
        """
        crops = whole(len(photos))
        told = np.concatenate(
            [
                self._told(photos[rows], crops.boxes[rows], crops.colours[rows], side).numpy()
                for rows in (slice(at, at + 100) for at in range(0, len(photos), 100))
            ]
        )
        wanted = (np.asarray(targets, np.float32) - self._mean) / self._spread
        explained = 1 - np.mean((told - wanted) ** 2) / np.mean(wanted**2)
        products = np.sum(told * wanted, axis=1)
        lengths = np.linalg.norm(told, axis=1) * np.linalg.norm(wanted, axis=1)
        return float(explained), float(np.mean(products / lengths))

    @tf.function(reduce_retracing=True)
    def _told(self, photos: Any, boxes: Any, colours: Any, side: int) -> Any:
        seen = pictures(photos, boxes, colours, side)
        return self._average_projection(self.average(seen, training=False), training=False)


def projection(width: int) -> Any:
    """Returns the Keras model from the student's features to the teacher's, standardised."""
    vectors = keras.Input([FEATURES])
    maps = keras.layers.Reshape([1, 1, FEATURES])(vectors)
    normalised = keras.layers.Flatten()(BatchNorm()(maps))
    told = keras.layers.Dense(width, kernel_initializer="zeros")(normalised)
    return keras.Model(vectors, keras.layers.Rescaling(_PROJECTION_SCALE)(told))


def batches(count: int, epoch: int, batch_size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yields the rows of each batch of an epoch; sorted, for memory maps' sake."""
    order = np.random.default_rng([SEED, 1, epoch]).permutation(count)
    for start in range(0, count - batch_size + 1, batch_size):
        yield np.sort(order[start : start + batch_size])


def main(argv: Sequence[str] | None = None) -> None:
    """Trains, or goes on with it, and writes the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos_dir", type=Path, required=True, help="folder of .tar files")
    parser.add_argument("--teacher", required=True, help="handle of the teacher")
    parser.add_argument("--work_dir", type=Path, required=True, help="for all that is kept")
    parser.add_argument("--output_dir", type=Path, required=True, help="for the module")
    parser.add_argument("--crop_sets", type=int, default=8, help="crops of each photo")
    parser.add_argument("--least_area", type=float, default=0.3, help="of a crop, of its photo")
    parser.add_argument("--rate", type=float, default=3e-3, help="of learning, at its highest")
    parser.add_argument("--held_back", type=int, default=1000, help="photos not learnt from")
    parser.add_argument("--batch_size", type=int, default=128, help="crops a step")
    parser.add_argument("--teacher_precision", default="float32", help="or bfloat16")
    parser.add_argument(
        "--schedule",
        default="64:22,80:62",
        help="what the student sees, pixels:epochs",
    )
    parser.add_argument("--side", type=int, default=128, help="pixels of what the module takes")
    arguments = parser.parse_args(argv)
    arguments.work_dir.mkdir(parents=True, exist_ok=True)
    photos = thumbnails(arguments.photos_dir)
    seen, unseen = np.split(photos, [len(photos) - arguments.held_back])
    teacher = Teacher(arguments.teacher, arguments.work_dir, arguments.teacher_precision)
    wanted_unseen = teacher.vectors(unseen, whole(len(unseen)), "held-back")
    sets = []
    for number in range(arguments.crop_sets):
        crops = random_crops(len(seen), number, least_area=arguments.least_area)
        sets.append((crops, teacher.vectors(seen, crops, f"crops-{number}")))
    parts = [part.split(":") for part in arguments.schedule.split(",")]
    sides = [int(side) for side, epochs in parts for _ in range(int(epochs))]
    steps = len(seen) // arguments.batch_size
    trainer = Trainer(
        arguments.work_dir / "checkpoints",
        sets[0][1],
        rate=arguments.rate,
        total_steps=len(sides) * steps,
    )
    stopping = Stopping()
    for epoch in range(int(trainer.step) // steps, len(sides)):
        crops, targets = sets[epoch % len(sets)]
        start = time.monotonic()
        rows = list(batches(len(seen), epoch, arguments.batch_size))
        loss = learn_epoch(
            trainer,
            seen,
            (crops, targets),
            rows[int(trainer.step) % steps :],
            sides[epoch],
            stopping,
        )
        explained, cosine = trainer.agreement(unseen, wanted_unseen, sides[epoch])
        row = {
            "epoch": epoch,
            "side": sides[epoch],
            "loss": round(loss, 4),
            "explained": round(explained, 4),
            "cosine": round(cosine, 4),
            "seconds": round(time.monotonic() - start),
        }
        append_row(arguments.work_dir / "curve.csv", row)
        print(row, flush=True)
    trainer.save()
    explained, cosine = trainer.agreement(unseen, wanted_unseen, arguments.side)
    print(f"With {arguments.side} pixels: explained {explained:.4f}, cosine {cosine:.4f}")
    export(trainer.average, arguments.output_dir, side=arguments.side, photos=unseen)


def learn_epoch(
    trainer: Trainer,
    photos: Pixels,
    crops_and_targets: tuple[Crops, Any],
    batches_of_rows: Sequence[npt.NDArray[np.int64]],
    side: int,
    stopping: "Stopping",
) -> float:
    """Returns the mean loss of an epoch, or of what is left of it, after learning from it.

    Raises:
        SystemExit: somebody asked to stop; what is learnt is saved.
    """
    crops, targets = crops_and_targets
    losses = []
    for rows in tqdm(batches_of_rows, f"{side} pixels", mininterval=10):
        loss = trainer.learn(
            photos[rows], crops.boxes[rows], crops.colours[rows], targets[rows], side
        )
        losses.append(float(loss))
        if int(trainer.step) % _STEPS_A_CHECKPOINT == 0 or stopping.asked:
            trainer.save()
        if stopping.asked:
            sys.exit(_STOPPED)
    return float(np.mean(losses))


def export(model: Any, folder: Path, *, side: int, photos: Pixels) -> None:
    """Writes a student as a Hub module, and prints how near it is to the student.

    Args:
        model: the student.
        folder: must be new, or a module's, which it replaces.
        side: of the photos that the module will take, in pixels.
        photos: uint8 [n, 128, 128, 3], on which the spread of the features is measured.

    Raises:
        ValueError: without batch normalisation the student answers otherwise.
    """
    crops = whole(len(photos))
    seen = pictures(photos, crops.boxes, crops.colours, side)
    wanted = model(seen, training=False).numpy()
    weights = folded(model)
    difference = np.abs(features(seen, weights).numpy() - wanted).max() / np.abs(wanted).max()
    if not difference <= 1e-4:
        raise ValueError(f"The folded student must answer as before. It is off by {difference}.")
    # Gradient descent at its default rate learns well from features of about this spread.
    gain = float(_SPREAD / wanted.std())
    shutil.rmtree(folder, ignore_errors=True)
    HubModule(weights, side=side, gain=gain).save(str(folder))
    stored = tf.saved_model.load(str(folder))(seen).numpy()
    print(
        f"{folder}: features times {gain:.3f}, mean {stored.mean():.3f}, spread "
        f"{stored.std():.3f}; in float16 off by at most {np.abs(stored - gain * wanted).max():.4f}"
    )


class Stopping:
    """Notes that somebody asked to stop, with Ctrl-C or SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


def append_row(path: Path, row: dict[str, float]) -> None:
    """Appends a row to a CSV file, which it begins with the names."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if is_new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(_STOPPED)

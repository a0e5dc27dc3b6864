import contextlib
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from image_retraining.foundation import state_file
from image_retraining.foundation.errors import CheckpointError, OutputError
from image_retraining.foundation.records import FeatureSet, Head
from image_retraining.head.best_head import HeadChoice
from image_retraining.head.checkpoint import Checkpoint, CheckpointFile, photos_digest
from image_retraining.head.layers import HeadLayers, TrainingState, Values

INPUTS = {
    "photos and labels": "0123abcd",
    "--learning_rate": 0.1,
    "--train_batch_size": 100,
    "--seed": 7,
    "distortions": "Distortion(random_crop=0)",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "states" / "checkpoint"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The clock of the checkpoint file, in seconds."""
    clock = SimpleNamespace(now=500.0)
    clocks = {**vars(time), "monotonic": lambda: clock.now}
    monkeypatch.setattr(state_file, "time", SimpleNamespace(**clocks))
    return clock


def head(seed: int = 0) -> Head:
    random = np.random.default_rng(seed)
    return Head(
        random.normal(size=[5, 3]).astype(np.float32), random.normal(size=3).astype(np.float32)
    )


def save(path: Path, *, step: int = 40, inputs: dict[str, Any] = INPUTS) -> None:
    with CheckpointFile(str(path), inputs) as file:
        file.update(Checkpoint(TrainingState(head().values(), step)))


def saved_step(path: Path) -> int | None:
    found = CheckpointFile(str(path), INPUTS).load()
    return None if found is None else found.state.step


# What is in the file


@pytest.mark.parametrize("moments", [None, (head(2).values(), head(3).values())])
@pytest.mark.parametrize("choice", [None, HeadChoice(head(4), 30, 0.123456789012345, 7)])
def test_everything_comes_back(
    path: Path, moments: tuple[Values, Values] | None, choice: HeadChoice | None
) -> None:
    with CheckpointFile(str(path), INPUTS) as file:
        file.update(Checkpoint(TrainingState(head().values(), 40, moments), choice))
    found = CheckpointFile(str(path), INPUTS).load()
    assert found is not None
    assert (found.state.moments is None) == (moments is None)
    for one, other in zip(found.state.moments or (), moments or (), strict=True):
        assert one["weights"].tobytes() == other["weights"].tobytes()
        assert one["bias"].tobytes() == other["bias"].tobytes()
    assert (found.choice is None) == (choice is None)
    if found.choice and choice:
        assert found.choice.head.weights.tobytes() == choice.head.weights.tobytes()
        assert found.choice.head.bias.tobytes() == choice.head.bias.tobytes()
        assert (found.choice.step, found.choice.waited) == (30, 7)
        assert found.choice.cross_entropy == choice.cross_entropy


def test_a_hidden_layer_comes_back(path: Path) -> None:
    layers = HeadLayers(hidden_units=4, batch_normalization=True)
    values = layers.initial(5, 3, seed=2)
    running = {name: np.array([1, 2, 3, len(name)], np.float32) for name in ("mean", "variance")}
    moments = tuple(layers.initial(5, 3, seed=seed) for seed in (3, 4))
    best = layers.head(layers.initial(5, 3, seed=5), running)
    state = TrainingState(values, 40, (moments[0], moments[1]), running)
    with CheckpointFile(str(path), INPUTS) as file:
        file.update(Checkpoint(state, HeadChoice(best, 30, 0.5, 7)))
    found = CheckpointFile(str(path), INPUTS).load()
    assert found
    assert found.choice
    assert found.state.moments
    expected: list[Values] = [values, running, *moments, best.values()]
    loaded: list[Values] = [found.state.values, found.state.running, *found.state.moments]
    loaded.append(found.choice.head.values())
    for one, other in zip(loaded, expected, strict=True):
        assert set(one) == set(other)
        for name in one:
            assert one[name].tobytes() == other[name].tobytes()


@pytest.mark.parametrize(
    ("name", "usual", "other"),
    [("hidden_units", 0, 16), ("dropout", 0.0, 0.5), ("batch_normalization", False, True)],
)
def test_checkpoints_of_earlier_versions_are_of_a_softmax_layer_alone(
    path: Path, name: str, usual: Any, other: Any
) -> None:
    save(path)
    assert CheckpointFile(str(path), {f"--{name}": usual, **INPUTS}).load()
    with pytest.raises(CheckpointError, match=f"--{name} was {usual}, and is {other}"):
        CheckpointFile(str(path), {f"--{name}": other, **INPUTS}).load()


def test_a_state_comes_back_bit_for_bit(path: Path) -> None:
    weights = np.array([[np.nan, -np.inf], [-0.0, 1e-45], [1 / 3, 3.4e38]], np.float32)
    bias = np.array([0.1, -2], np.float32)
    with CheckpointFile(str(path), INPUTS) as file:
        file.update(Checkpoint(TrainingState(Head(weights, bias).values(), 40)))
    found = CheckpointFile(str(path), dict(reversed(INPUTS.items()))).load()
    assert found is not None
    assert found.state.step == 40
    values = found.state.values
    assert values["weights"].dtype == values["bias"].dtype == np.float32
    assert values["weights"].shape == (3, 2)
    assert values["weights"].tobytes() == weights.tobytes()
    assert values["bias"].tobytes() == bias.tobytes()


def test_without_a_file_there_is_no_state(path: Path) -> None:
    assert CheckpointFile(str(path), INPUTS).load() is None


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("photos and labels", "ffff"),
        ("--learning_rate", 0.01),
        ("--train_batch_size", 99),
        ("--seed", 8),
        ("distortions", "Distortion(random_crop=10)"),
    ],
)
def test_a_state_of_other_inputs_is_refused(path: Path, name: str, now: Any) -> None:
    save(path)
    with pytest.raises(CheckpointError, match="Run without --resume") as raised:
        CheckpointFile(str(path), {**INPUTS, name: now}).load()
    assert f"{name} was {INPUTS[name]}, and is {now}." in str(raised.value)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (["daisy", "tulip", "ivy"], "(new: tulip, ivy; missing: ro\\nse)"),
        (["daisy", "ro\nse", "tulip"], "(new: tulip)"),
        (["daisy"], "(missing: ro\\nse)"),
        (["ro\nse", "daisy"], "(in another order)"),
        ([*"abcdefg", "daisy", "ro\nse"], "(new: a, b, c, d, e, and 2 more)"),
    ],
)
def test_other_classes_are_named(path: Path, now: list[str], words: str) -> None:
    save(path, inputs={"labels": ["daisy", "ro\nse"], **INPUTS})
    with pytest.raises(CheckpointError) as raised:
        CheckpointFile(str(path), {"labels": now, **INPUTS}).load()
    assert f"Its classes were others {words}. Run without" in str(raised.value)


def test_a_state_that_does_not_name_its_classes_is_one_of_the_digest(path: Path) -> None:
    save(path)
    assert CheckpointFile(str(path), {"labels": ["daisy"], **INPUTS}).load() is not None


def test_nothing_is_kept_in_dev_null(tmp_path: Path) -> None:
    path = tmp_path / "null"
    path.symlink_to("/dev/null")
    save(path)
    assert path.is_symlink()
    assert saved_step(path) is None


def test_a_state_that_lacks_an_input_is_refused(path: Path) -> None:
    save(path, inputs={"--seed": 7})
    with pytest.raises(CheckpointError, match="photos and labels was"):
        CheckpointFile(str(path), INPUTS).load()


def be_empty(path: Path) -> None:
    path.write_bytes(b"")


def be_text(path: Path) -> None:
    path.write_text("step 40\n")


def be_cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def have_a_flipped_byte(path: Path) -> None:
    contents = bytearray(path.read_bytes())
    place = contents.index(head().weights.tobytes())
    contents[place] ^= 1
    path.write_bytes(contents)


def be_one_array(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, head().weights)
    path.write_bytes(buffer.getvalue())


def be_a_pickle(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}]), allow_pickle=True)
    path.write_bytes(buffer.getvalue())


def be_another_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")


def lack_the_step(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, weights=head().weights, bias=head().bias, inputs=np.str_("{}"))


def have_unreadable_inputs(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, weights=head().weights, bias=head().bias, step=1, inputs=np.str_("{"))


def be_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "breakage",
    [
        be_empty,
        be_text,
        be_cut_short,
        have_a_flipped_byte,
        be_one_array,
        be_a_pickle,
        be_another_archive,
        lack_the_step,
        have_unreadable_inputs,
        be_a_folder,
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    path: Path, breakage: Callable[[Path], None]
) -> None:
    save(path)
    breakage(path)
    with pytest.raises(CheckpointError, match="Run without --resume to start anew") as raised:
        CheckpointFile(str(path), INPUTS).load()
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


# When it is written


def test_the_last_state_is_saved_on_leaving(path: Path) -> None:
    with CheckpointFile(str(path), INPUTS) as file:
        file.update(Checkpoint(TrainingState(head().values(), 10)))
        file.update(Checkpoint(TrainingState(head(1).values(), 20)))
        assert not path.exists()
    found = CheckpointFile(str(path), INPUTS).load()
    assert found is not None
    assert found.state.step == 20
    assert found.state.values["weights"].tobytes() == head(1).weights.tobytes()


@pytest.mark.parametrize(("error", "tells"), [(KeyboardInterrupt, True), (ValueError, False)])
def test_the_last_state_is_saved_when_the_training_breaks_off(
    path: Path,
    logged: pytest.LogCaptureFixture,
    error: type[BaseException],
    tells: bool,  # noqa: FBT001
) -> None:
    file = CheckpointFile(str(path), INPUTS)

    def break_off() -> None:
        with file:
            file.update(Checkpoint(TrainingState(head().values(), 20)))
            raise error

    with pytest.raises(error):
        break_off()
    assert saved_step(path) == 20
    expected = f"The first 20 steps are kept in {path}; the same command with --resume goes on."
    assert logged.messages == ([expected] if tells else [])


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_without_a_step_nothing_is_saved_nor_said(
    path: Path, logged: pytest.LogCaptureFixture, error: type[BaseException] | None
) -> None:
    save(path)
    before = path.read_bytes()
    with contextlib.suppress(KeyboardInterrupt), CheckpointFile(str(path), INPUTS):
        if error:
            raise error
    assert path.read_bytes() == before
    assert logged.messages == []


def test_nothing_is_said_when_all_went_well(path: Path, logged: pytest.LogCaptureFixture) -> None:
    save(path)
    assert logged.messages == []


def test_a_state_is_saved_every_ten_seconds_at_most(path: Path, clock: SimpleNamespace) -> None:
    with CheckpointFile(str(path), INPUTS) as file:
        steps = []
        for step, seconds in enumerate([0, 9.9, 10, 10.1, 19.9, 20, 29, 45, 54.9, 55]):
            clock.now = 500.0 + seconds
            file.update(Checkpoint(TrainingState(head().values(), step)))
            steps.append(saved_step(path))
    assert steps == [None, None, 2, 2, 2, 5, 5, 7, 7, 9]


def test_the_file_is_whole_or_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(path)
    before = path.read_bytes()

    def fill_the_disk(file: Any, **_: Any) -> None:
        file.write(b"half a check")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", fill_the_disk)
    with pytest.raises(OutputError, match="No space left"):
        save(path, step=50)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_no_other_file_is_left(path: Path) -> None:
    save(path)
    save(path, step=50)
    assert saved_step(path) == 50
    assert list(path.parent.iterdir()) == [path]


# What the training learns from


def photos(features: Any, label_ids: list[int]) -> FeatureSet:
    names = tuple(map(str, range(len(label_ids))))
    return FeatureSet(np.array(features, np.float32), np.array(label_ids, np.int32), names)


def test_the_digest_tells_other_photos_and_labels() -> None:
    digests = {
        photos_digest(["a", "b"], photos([[1, 2], [3, 4]], [0, 1])),
        photos_digest(["a", "c"], photos([[1, 2], [3, 4]], [0, 1])),
        photos_digest(["ab"], photos([[1, 2], [3, 4]], [0, 1])),
        photos_digest(["a", "b"], photos([[1, 2], [3, 5]], [0, 1])),
        photos_digest(["a", "b"], photos([[3, 4], [1, 2]], [0, 1])),
        photos_digest(["a", "b"], photos([[1, 2], [3, 4]], [1, 1])),
        photos_digest(["a", "b"], photos([[1, 2]], [0])),
    }
    assert len(digests) == 7


def test_the_digest_is_that_of_the_content() -> None:
    plain = photos([[1, 2], [3, 4]], [0, 1])
    transposed = FeatureSet(
        np.array([[1, 3], [2, 4]], np.float32).T, plain.label_ids, ("elsewhere/0", "elsewhere/1")
    )
    assert photos_digest(["a", "b"], transposed) == photos_digest(("a", "b"), plain)

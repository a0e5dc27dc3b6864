import re
import socket
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from image_retraining import builtin_module, hub_module
from image_retraining.backbone import load_backbone
from image_retraining.engines import EngineChoice
from image_retraining.errors import ModuleError

SIZE = (96, 96)
# Mean and maximum of 8 orientations at 3 wavelengths in 1 + 4 + 16 cells; mean and spread of 3
# colours in 16 cells.
EDGES = 3 * 2 * 8 * 21
FEATURE_SIZE = EDGES + 2 * 3 * 16


def smooth_photos(count: int) -> Any:
    """Returns float32 [count, 96, 96, 3] of soft random blobs, as photos have."""
    coarse = np.random.default_rng(5).random([count, 7, 7, 3], np.float32)
    return tf.image.resize(coarse, SIZE, method="bicubic").numpy().clip(0, 1)


def ramp() -> Any:
    """Returns float32 [1, 96, 96, 3]: red grows to the right, green downwards, blue is flat."""
    down, right = np.mgrid[0:96, 0:96].astype(np.float32) / 95
    return np.stack([right, down, np.full_like(right, 0.25)], axis=-1)[np.newaxis]


def test_it_works_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        pytest.fail("something asked for the network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(hub_module, "resolve", no_network)
    backbone = load_backbone("builtin")
    assert (backbone.handle, backbone.image_size) == ("builtin", SIZE)
    assert backbone.feature_size == FEATURE_SIZE
    features = EngineChoice().make(backbone)(smooth_photos(3))
    assert (features.shape, features.dtype) == ((3, FEATURE_SIZE), tf.float32)


def test_it_is_a_plain_graph() -> None:
    graph_def = load_backbone("builtin").graph_def
    assert not graph_def.HasField("library")
    stateful = {"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "StatelessRandomUniform"}
    assert not stateful & {node.op for node in graph_def.node}


def test_it_is_the_same_each_time() -> None:
    photos = smooth_photos(4)
    one, other = load_backbone("builtin"), load_backbone("builtin")
    assert one.fingerprint == other.fingerprint
    assert one.graph_def.SerializeToString(deterministic=True) == (
        other.graph_def.SerializeToString(deterministic=True)
    )
    np.testing.assert_array_equal(
        EngineChoice().make(one)(photos), EngineChoice().make(other)(photos)
    )


def test_its_graph_gives_what_its_function_gives() -> None:
    photos = smooth_photos(4)
    frozen = EngineChoice().make(load_backbone("builtin"))(photos)
    np.testing.assert_allclose(frozen, builtin_module.features(photos), rtol=1e-4, atol=1e-5)


def test_features_have_the_scale_that_the_learning_rate_wants() -> None:
    features = builtin_module.features(smooth_photos(64)).numpy()
    assert 0.1 < features.mean() < 1
    assert 0.2 < features.std() < 2
    assert np.abs(features).max() < 20


def test_features_of_a_photo_do_not_depend_on_the_batch() -> None:
    photos = smooth_photos(5)
    together = builtin_module.features(photos).numpy()
    alone = np.concatenate([builtin_module.features(photo[np.newaxis]) for photo in photos])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    # Photos that had equal features would pass the above.
    assert np.abs(together[0] - together[1]).max() > 0.1


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_photo_of_one_grey_has_features(level: float) -> None:
    features = builtin_module.features(np.full([1, *SIZE, 3], level, np.float32)).numpy()
    assert np.isfinite(features).all()
    # The grey itself is seen: luma times the gain of 3, in each of the 16 cells.
    luma = (0.299 + 0.587 + 0.114) * level * 3
    assert (np.abs(features - luma) < 1e-3).sum() >= 16


def test_edges_of_each_direction_are_told_apart() -> None:
    waves = 0.5 + 0.5 * np.sin(np.arange(96, dtype=np.float32) * np.pi / 4)
    upright = np.broadcast_to(waves[np.newaxis, :, np.newaxis], [96, 96, 3])
    features = builtin_module.features(np.stack([upright, upright.transpose(1, 0, 2)])).numpy()
    assert np.abs(features[0] - features[1]).max() > 1


def test_strength_of_contrast_hardly_matters_to_edges() -> None:
    photo = smooth_photos(1)
    strong, faint = builtin_module.features(np.concatenate([photo, photo / 2])).numpy()[:, :EDGES]
    assert faint.mean() == pytest.approx(strong.mean(), rel=0.15)


def fingerprint() -> str:
    return load_backbone("builtin").fingerprint


# Once: numpy's cosine differs in its last bits on a CPU with other vector units, and the
# fingerprint with it; NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" shows it.
def test_its_fingerprint_is_pinned() -> None:
    # Another one costs people their cached vectors: change this knowingly, and say so in CHANGELOG.
    assert fingerprint() == "00459f43c15898335f89889ebe18a1d67828d33ba430b8b16807592be8d0156a"


# A defect once, see above.
def test_its_fingerprint_survives_the_noise_of_another_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    cosine = np.cos
    monkeypatch.setattr(np, "cos", lambda angle: np.nextafter(cosine(angle), 2))
    assert fingerprint() == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_ORIENTATIONS", 4),
        ("_WAVELENGTHS", (4.0, 8.0)),
        ("_EDGE_GRIDS", (1, 2)),
        ("_COLOUR_GRID", 2),
        ("_COLOURS", np.eye(3, dtype=np.float32)),
        ("_COLOUR_GAIN", 1.0),
        ("_LEAST_ENERGY", 0.06),
    ],
)
def test_its_fingerprint_changes_with(
    name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint()
    monkeypatch.setattr(builtin_module, name, value)
    assert fingerprint() != before


def test_its_mean_colours_are_right() -> None:
    photo = ramp()
    cells = photo.reshape(4, 24, 4, 24, 3).mean(axis=(1, 3))
    red, green, blue = np.moveaxis(cells, -1, 0)
    colours = [
        0.299 * red + 0.587 * green + 0.114 * blue,
        0.5 * (red - green),
        0.25 * (red + green) - 0.5 * blue,
    ]
    found = builtin_module.features(photo).numpy()[0, EDGES : EDGES + 48]
    assert found == pytest.approx(3 * np.stack(colours, axis=-1).reshape(-1), abs=1e-4)


def test_its_own_image_size_may_be_named() -> None:
    assert load_backbone("builtin", image_size=SIZE).image_size == SIZE


@pytest.mark.parametrize("size", [(224, 224), (96, 95)])
def test_another_image_size_is_refused(size: tuple[int, int]) -> None:
    message = f"Got {size} for builtin, which takes photos of (96, 96) (height, width)"
    with pytest.raises(ModuleError, match=re.escape(message)):
        load_backbone("builtin", image_size=size)

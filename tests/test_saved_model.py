from pathlib import Path

import numpy as np
import tensorflow as tf

from image_retraining import frozen_graph
from image_retraining.backbone import load_backbone
from image_retraining.frozen_graph import FrozenGraph
from image_retraining.records import Head
from image_retraining.saved_model import write_saved_model


def test_the_promised_signature_answers_as_the_graph_does(
    tmp_path: Path, colour_module: Path
) -> None:
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(6, 4)).astype(np.float32), np.zeros(4, np.float32))
    built = frozen_graph.build(load_backbone(str(colour_module)), head, final_tensor_name="mine")
    frozen_graph.write(tmp_path / "g.pb", built)
    write_saved_model(str(tmp_path / "saved"), built, output_layer="mine")

    signature = tf.saved_model.load(str(tmp_path / "saved"), tags=["serve"]).signatures[
        "serving_default"
    ]
    (image,) = signature.structured_input_signature[1].values()
    assert (image.name, image.shape.as_list()) == ("image", [None, 8, 8, 3])
    photos = rng.uniform(size=(3, 8, 8, 3)).astype(np.float32)
    answer = signature(image=tf.constant(photos))
    assert set(answer) == {"prediction"}
    wanted = FrozenGraph(tmp_path / "g.pb").scores(photos)
    np.testing.assert_allclose(answer["prediction"], wanted, atol=1e-6)

"""Facts of an export, for tests that do not care which."""

from typing import Any

from image_retraining.exports.facts import ModelFacts


def facts(**changes: Any) -> ModelFacts:
    """Returns the facts of three classes, with some changes."""
    some: dict[str, Any] = {
        "labels": ("rose", "玫瑰", "Ünï cödé"),
        "image_size": (8, 8),
        "input_range": (0.0, 1.0),
        "input_layer": "Placeholder",
        "output_layer": "final_result",
        "module": "花",
        "module_fingerprint": "ab" * 32,
        "testing_percentage": 10,
        "validation_percentage": 15,
        "test_accuracy": 0.875,
        "test_count": 80,
        "tool_version": "0.1.0",
        "calibration": None,
        "temperature_in_graph": False,
    }
    return ModelFacts(**some | changes)

"""Lines of the log that say how an export answers."""

import pytest

from image_retraining.exports.proof import Verification
from image_retraining.foundation.records import Split
from image_retraining.reports.findings import Exported
from image_retraining.reports.log import Log

PROOF = Verification(
    photo_count=22, same_answers=18, largest_difference=0.25, accuracy=0.5, head_accuracy=0.5
)


@pytest.mark.parametrize(
    ("quantization", "line"),
    [
        (
            "",
            (
                "Verified the written file on 22 testing photos: same answers, probabilities "
                "differ by at most 2.5e-01"
            ),
        ),
        (
            "none",
            (
                "Verified the written file (none) on 22 testing photos: same answers, "
                "probabilities differ by at most 2.5e-01, accuracy 50.0% where the head's is 50.0%"
            ),
        ),
        *(
            (
                kind,
                (
                    f"Asked the written file ({kind}) on 22 testing photos: 18 of 22 the same "
                    "answers, probabilities differ by at most 2.5e-01, accuracy 50.0% where the "
                    "head's is 50.0%"
                ),
            )
            for kind in ("float16", "int8")
        ),
    ],
)
def test_only_what_must_answer_alike_is_verified(
    logged: pytest.LogCaptureFixture, quantization: str, line: str
) -> None:
    # Once: "Verified the written TensorFlow Lite file (int8) ... 18 same answers" of 22.
    Log().tell(
        Exported(name="file", path="x", quantization=quantization, proof=PROOF, split=Split.TESTING)
    )
    # Of 11 of 22, by Wilson's formula.
    interval = "95% interval of the accuracy of the written file: 30.7% to 69.3%"
    lines = [line, interval] if quantization else [line]
    assert logged.messages == [*lines, "Save file to : x"]

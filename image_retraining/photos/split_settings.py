"""What must hold of the settings that decide the splits."""

from collections.abc import Collection

from image_retraining.foundation.settings import require


def check_split(
    *, split: str, validation_percentage: int, testing_percentage: int, named: Collection[str]
) -> None:
    """Raises SettingError where settings contradict each other or leave no training photos.

    Args:
        split: as --split.
        validation_percentage: share of photos for validation.
        testing_percentage: share of photos for testing.
        named: the settings that somebody gave.
    """
    percentages = {
        "testing_percentage": testing_percentage,
        "validation_percentage": validation_percentage,
    }
    for name, value in percentages.items():
        require(0 <= value <= 100, f"--{name} must be from 0 to 100", value)
        require(
            split != "folders" or name not in named,
            f"--{name} cannot be given with --split=folders, for there the folders decide",
            f"--{name}={value}",
        )
    both = testing_percentage + validation_percentage
    require(
        both < 100,
        "--testing_percentage and --validation_percentage must leave photos for training: their "
        "sum must be below 100",
        f"{testing_percentage} + {validation_percentage} = {both}",
    )

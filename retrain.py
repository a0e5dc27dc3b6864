"""Teaches an image classifier your own categories: python retrain.py --image_dir my_photos."""

from image_retraining.foundation.door import needing_packages


def main() -> None:
    """Runs the script; does not return."""
    with needing_packages():
        from image_retraining.retraining import command  # noqa: PLC0415 - may be missing

        command.main(retrain="python retrain.py", label_image="python label_image.py")


if __name__ == "__main__":
    main()

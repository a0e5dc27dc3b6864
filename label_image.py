"""Labels photos with a finished classifier: python label_image.py --image=rose.jpg."""

from image_retraining.foundation.door import needing_packages


def main() -> None:
    """Runs the script; does not return."""
    with needing_packages():
        from image_retraining.labelling import command  # noqa: PLC0415 - may be missing

        command.main(label_image="python label_image.py")


if __name__ == "__main__":
    main()

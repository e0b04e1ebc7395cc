"""All commands: `tfrecog COMMAND`, or `python -m tfrecog COMMAND`."""

from tfrecog.cli import launcher


def main() -> None:
    """The console script."""
    launcher.run(("tfrecog", "tfrecog.pipelines", "tfrecog.export"))


if __name__ == "__main__":
    main()

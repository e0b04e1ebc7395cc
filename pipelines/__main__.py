"""Lists the commands of this package: `python -m pipelines`."""

from tfrecog.cli import launcher

if __name__ == "__main__":
    launcher.run((__package__,))

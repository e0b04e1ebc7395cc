"""What a report of a bug says of a process."""

import importlib.metadata
import json
import os

import tensorflow as tf

from tests.folders import REPOSITORY
from tfrecog import env
from tfrecog.cli import command
from tfrecog.config import Experiment
from tfrecog.reports import card
from tfrecog.runs import folder
from tfrecog.runtime import environment


def test_it_has_versions_the_machine_and_what_is_set_and_neither_names_nor_secrets(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("TF_XLA_FLAGS", "--dump=/home/somebody/dump")
    monkeypatch.setenv("TF_VAR_password", "secret")  # of Terraform
    monkeypatch.setenv("TFRECOG_CACHE", "/data/cache")
    env.main(command.parse(env.Flags(), ["--json", f"--out={tmp_path}/env.json"]))
    printed = capsys.readouterr().out
    facts = json.loads(printed)
    assert facts == json.loads((tmp_path / "env.json").read_text())
    assert facts["variables"].items() >= {"TF_XLA_FLAGS": "--dump=~/dump", "TFRECOG_CACHE": "/data/cache"}.items()
    assert "secret" not in printed and "somebody" not in printed
    assert facts["packages"]["tensorflow"] == tf.__version__ and len(facts["gpus"]) == len(
        tf.config.list_physical_devices("GPU")
    )
    assert facts["cores"].endswith(f"of {os.cpu_count()}") and facts["cpu"] and "oneDNN" in facts["onednn"]
    assert ("commit" in facts["tfrecog"]) == (REPOSITORY / ".git").exists()
    lines = environment.text(facts).splitlines()
    assert len(lines) == len(facts) - 2 + len(facts["packages"]) + len(facts["variables"])


def test_tensorflow_of_a_package_of_another_name_has_its_version(tmp_path, monkeypatch):
    def of_others(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", of_others)
    monkeypatch.setattr(tf, "__version__", "2.21.0-dev20261130")
    assert environment.facts()["packages"]["tensorflow"] == "2.21.0-dev20261130"
    assert "tensorflow 2.21.0-dev20261130, keras 3." in folder._text(Experiment(workdir="run"))
    assert "tensorflow 2.21.0-dev20261130, keras 3." in card._software()

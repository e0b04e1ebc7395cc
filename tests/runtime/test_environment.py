"""What a report of a bug says of a process."""

import json
import os

import tensorflow as tf

from tests.folders import REPOSITORY
from tfrecog import env
from tfrecog.cli import command
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

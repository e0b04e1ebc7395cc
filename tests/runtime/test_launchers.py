"""The files of docs/machines: each launcher starts the command with a TF_CONFIG that names all workers."""

import json
import os
import runpy
import stat
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from tests.commands import flags_of
from tests.folders import REPOSITORY
from tfrecog.cli import flags
from tfrecog.runtime import tf_config

FOLDER = REPOSITORY / "docs/machines"


def documents(name):
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def assert_trains(words):
    """That the words of a command are python -m tfrecog.train, a recipe that is there, and flags that it has."""
    assert words[1:3] == ["-m", "tfrecog.train"]
    given = dict(word[2:].split("=", 1) for word in words[3:])
    assert set(given) <= {"flagfile", *(leaf.path for leaf in flags.leaves(flags_of("tfrecog.train")))}
    assert (REPOSITORY / given["flagfile"]).is_file() and {"data.records", "workdir"} <= set(given)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A function that puts a program of a name, a script of sh, before all others; and a folder for what it writes."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SEEN", str(tmp_path))
    monkeypatch.delenv("TF_CONFIG", raising=False)

    def put(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
        return tmp_path / name

    # It notes its words and TF_CONFIG under the number of its worker, and ends as it is told.
    number = 'number=$(echo "$TF_CONFIG" | sed "s/.*index\\": \\([0-9]*\\).*/\\1/")'
    note = 'echo "$TF_CONFIG" > "$SEEN/config$number"; printf "%s\\n" python "$@" > "$SEEN/words$number"'
    put("python", f"{number}\n{note}\nexit ${{STATUS:-0}}")
    return SimpleNamespace(put=put, folder=tmp_path)


def seen(folder, count):
    """The cluster that each of the workers was told of, whose command is checked."""
    for index in range(count):
        assert_trains((folder / f"words{index}").read_text().splitlines())
    clusters = [tf_config.read((folder / f"config{index}").read_text()) for index in range(count)]
    assert [cluster and cluster.index for cluster in clusters] == list(range(count))
    assert len({cluster.addresses for cluster in clusters if cluster}) == 1
    return clusters[0]


def test_the_pods_of_an_indexed_job_have_each_others_names(fake):
    service, claim, job = documents("kubernetes.yaml")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = {item["name"]: item["value"] for item in container["env"]}
    count = int(settings["WORKERS"])
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"] == count
    name = job["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    assert pod["subdomain"] == service["metadata"]["name"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for index in range(count):
        environment = {**os.environ, **settings, "JOB_COMPLETION_INDEX": str(index)}
        subprocess.run(container["command"], env=environment, check=True)
    port = container["ports"][0]["containerPort"]
    wanted = tuple(f"{name}-{index}.{pod['subdomain']}:{port}" for index in range(count))
    assert seen(fake.folder, count).addresses == wanted


def test_a_job_of_kubernetes_restarts_what_continues_and_nothing_else():
    spec = documents("kubernetes.yaml")[2]["spec"]
    (ends,) = (rule for rule in spec["podFailurePolicy"]["rules"] if rule["action"] == "FailJob")
    assert {1, 2, 3} <= set(ends["onExitCodes"]["values"])
    assert not {75, 130, 137, 143} & set(ends["onExitCodes"]["values"])
    assert ends["onExitCodes"]["containerName"] == spec["template"]["spec"]["containers"][0]["name"]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # the API server refuses the policy with another
    assert "backoffLimitPerIndex" not in spec  # without one of the workers the others cannot go on


def test_a_tfjob_has_the_names_that_its_operator_looks_for():
    (job,) = documents("kubeflow.yaml")
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "TFJob")
    assert "enableDynamicWorker" not in job["spec"]
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    (container,) = worker["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow" and container["ports"][0]["name"] == "tfjob-port"
    assert worker["restartPolicy"] == "OnFailure"  # ExitCode would take 75 for final
    assert_trains(container["command"])


def test_the_chief_and_the_workers_of_vertex_are_alike():
    (job,) = documents("vertex.yaml")
    chief, worker = job["workerPoolSpecs"]
    assert chief["replicaCount"] == 1
    assert {**chief, "replicaCount": 0} == {**worker, "replicaCount": 0}
    assert_trains(chief["containerSpec"]["command"] + chief["containerSpec"]["args"])


def slurm(fake, status, restarts="0"):
    """The batch script on two nodes, whose workers end with a status; returns it as it has ended."""
    scontrol = 'case $1 in show) printf "n1\\nn2\\n" ;; requeue) echo "$2" > "$SEEN/requeued" ;; esac'
    fake.put("scontrol", scontrol)
    shift = 'while [ "${1#--}" != "$1" ]; do shift; done'
    fake.put("srun", f'{shift}\nfor node in 0 1; do SLURM_NODEID=$node "$@"; worst=$?; done\nexit $worst')
    environment = {
        **os.environ,
        "SLURM_JOB_ID": "1234567",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_RESTART_COUNT": restarts,
        "STATUS": str(status),
    }
    return subprocess.run(["bash", str(FOLDER / "slurm.sh")], env=environment, capture_output=True, text=True)


def test_the_nodes_of_a_slurm_job_have_each_others_names(fake):
    done = slurm(fake, 0)
    assert (done.returncode, done.stderr) == (0, "")
    assert seen(fake.folder, 2).addresses == ("n1:24567", "n2:24567")
    assert not (fake.folder / "requeued").exists()


@pytest.mark.parametrize(
    ("status", "restarts", "again"),
    [(75, "0", True), (143, "3", True), (137, "0", True), (1, "0", False), (3, "0", False), (75, "100", False)],
)
def test_a_slurm_job_that_continues_is_queued_again(fake, status, restarts, again):
    assert slurm(fake, status, restarts).returncode == status
    assert (fake.folder / "requeued").exists() == again


@pytest.mark.skipif(sys.platform != "linux", reason="setpriv is Linux's")
def test_a_worker_of_ray_runs_the_command_with_its_keras_and_fails_as_it_does(fake, monkeypatch):
    made = {}
    train, tensorflow = ModuleType("ray.train"), ModuleType("ray.train.tensorflow")
    for name in ("FailureConfig", "RunConfig", "ScalingConfig"):
        setattr(train, name, dict)

    class Trainer:
        def __init__(self, loop, **settings):
            made.update(settings, loop=loop)

        def fit(self):
            made["loop"]()

    tensorflow.TensorflowTrainer = Trainer  # pyright: ignore[reportAttributeAccessIssue]
    for module in (ModuleType("ray"), train, tensorflow):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    note = 'echo "${TF_USE_LEGACY_KERAS:-none}" > "$SEEN/keras"'
    monkeypatch.setattr(sys, "executable", str(fake.put("worker", f'{note}\nexec "$SEEN/python" "$@"')))
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    for index in range(2):
        task = {"type": "worker", "index": index}
        monkeypatch.setenv(
            "TF_CONFIG", json.dumps({"cluster": {"worker": ["10.0.0.1:41", "10.0.0.2:42"]}, "task": task})
        )
        runpy.run_path(str(FOLDER / "ray_train.py"), run_name="__main__")
    assert seen(fake.folder, made["scaling_config"]["num_workers"])
    assert (fake.folder / "keras").read_text() == "none\n"
    monkeypatch.setenv("STATUS", "75")
    with pytest.raises(subprocess.CalledProcessError, match="exit status 75"):
        made["loop"]()

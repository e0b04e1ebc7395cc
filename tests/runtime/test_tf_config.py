"""TF_CONFIG, as launchers write it and as it can be wrong."""

import json

import pytest

from tfrecog.cli.errors import UserError
from tfrecog.runtime import tf_config

TWO = {"worker": ["a:1", "b:2"]}


def read(cluster, **task):
    return tf_config.read(json.dumps({"cluster": cluster, "task": task}))


def test_workers_are_in_the_order_of_the_list():
    cluster = read(TWO, type="worker", index=1)
    assert cluster and cluster.addresses == ("a:1", "b:2") and cluster.index == 1
    assert cluster.jobs == [("worker", 2)] and cluster.spec == TWO


def test_a_chief_is_the_first_worker():
    cluster = read({"worker": ["b:2", "c:3"], "chief": ["a:1"]}, type="worker", index=1)
    assert cluster and cluster.addresses == ("a:1", "b:2", "c:3") and cluster.index == 2
    assert cluster.tasks == (("chief", 0), ("worker", 0), ("worker", 1))
    assert cluster.spec == {"chief": ["a:1"], "worker": ["b:2", "c:3"]}


# What launchers write, by their documentation and sources: Kubeflow's Training Operator 1.9, Vertex AI, Ray 2.60.
KUBEFLOW = """{"cluster":{"worker":["job-worker-0.team.svc:2222","job-worker-1.team.svc:2222"]},
"task":{"type":"worker","index":1},"environment":"cloud"}"""
VERTEX = """{"cluster": {"chief": ["training-workerpool0-ab-0:2222"],
"worker": ["training-workerpool1-ab-0:2222", "training-workerpool1-ab-1:2222"]}, "environment": "cloud",
"job": {"workerPoolSpecs": [{"replicaCount": "1"}, {"replicaCount": "2"}]},
"task": {"cloud": "ab-cd", "index": 0, "trial": "1", "type": "worker"}}"""
RAY = '{"cluster": {"worker": ["10.0.0.1:40001", "[fd00::2]:40002"]}, "task": {"type": "worker", "index": 1}}'


@pytest.mark.parametrize(("text", "count"), [(KUBEFLOW, 2), (VERTEX, 3), (RAY, 2)], ids=["kubeflow", "vertex", "ray"])
def test_what_launchers_write_is_read(text, count):
    cluster = tf_config.read(text)
    assert cluster and len(cluster.addresses) == count and cluster.index == 1


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"task": {"type": "worker", "index": 0}}', '{"cluster": {"chief": ["a:1"]}, "environment": "cloud"}'],
    ids=["none", "empty", "no cluster", "one machine"],
)
def test_one_machine_is_no_cluster(text):
    assert tf_config.read(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("worker-0:2222", "is not JSON"),
        ("[]", "has the form"),
        ('{"cluster": ["a:1", "b:2"]}', "has the form"),
        ({"worker": {"1": "b:2"}, "ps": []}, "leave enableDynamicWorker out"),
        ('{"sparseCluster": {"worker": {"1": "b:2"}}, "task": {"type": "worker", "index": 1}}', "enableDynamicWorker"),
        ({"worker": "a:1"}, "make it a list of host:port"),
        ({"worker": ["a", "b:2"]}, r'cluster.worker is \["a", "b:2"\]; make it a list'),
        ({"worker": ["a:1", "b:99999"]}, "make it a list of host:port"),
        ({"worker": []}, "make it a list of host:port"),
        ({"worker": ["a:1", "a:1"]}, "a:1 is the address of two workers"),
        ({"chief": ["a:1", "b:2"]}, "one chief, and not 2"),
        ({**TWO, "ps": ["c:3"]}, "parameter servers"),
        ({**TWO, "evaluator": ["c:3"]}, "leave it out"),
        ({"tpu_worker": ["a:1"]}, "TPUs"),
        ({**TWO, "master": ["c:3"]}, "the role 'master'"),
    ],
)
def test_what_cannot_be_is_named(text, message):
    text = text if isinstance(text, str) else json.dumps({"cluster": text, "task": {"type": "worker", "index": 0}})
    with pytest.raises(UserError, match=message):
        tf_config.read(text)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"type": "worker", "index": 2}, "make task one of worker 0, worker 1"),
        ({"type": "chief", "index": 0}, "no worker of its cluster is "),
        ({"type": "evaluator", "index": 0}, "evaluate together"),
        ({"type": "ps", "index": 0}, "parameter servers"),
        ({}, "no worker of its cluster is "),
    ],
)
def test_a_task_that_is_not_of_the_cluster_is_named(task, message):
    with pytest.raises(UserError, match=message):
        read(TWO, **task)

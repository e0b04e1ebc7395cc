"""The workers of a training: which images of a batch each makes, and how they find each other."""

import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfrecog.cli.errors import UserError
from tfrecog.runtime import rendezvous, tf_config
from tfrecog.runtime.cluster import ALONE, Workers
from tfrecog.runtime.tf_config import Cluster


def clusters(*ports):
    """The cluster of workers on these ports, as each of them knows it."""
    tasks = tuple(("worker", index) for index in range(len(ports)))
    return [Cluster(tasks, tuple(f"127.0.0.1:{port}" for port in ports), index) for index in range(len(ports))]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_replicas_of_workers_get_the_images_that_those_of_one_process_get(count, local, parts, images):
    size = count * local * parts * images
    # One process: each part of the batch is divided among all replicas.
    of_one = np.arange(size).reshape(parts, count * local, images)
    for cluster in clusters(*range(1, count + 1)):
        places = Workers(cluster).places(size, parts)
        own = places.reshape(parts, local, images)  # As the training step divides what a worker has.
        np.testing.assert_array_equal(own, of_one[:, cluster.index * local : (cluster.index + 1) * local])


def test_a_process_that_is_alone_makes_all_and_meets_itself():
    np.testing.assert_array_equal(ALONE.places(6, 2), np.arange(6))
    meeting = ALONE.meet("value", b"bytes")
    assert (meeting.values, meeting.payloads, meeting.signal) == (["value"], [b"bytes"], None)


def test_workers_wait_until_all_listen_and_have_their_ports_afterwards():
    some, missing, servers = clusters(free_port(), free_port(), free_port()), [], []

    def work(cluster):
        missing.append(rendezvous.wait(cluster, 20))
        # As TensorFlow does then: who comes later finds this one.
        servers.append(socket.create_server(("127.0.0.1", tf_config.port_of(cluster.addresses[cluster.index]))))

    threads = [threading.Thread(target=work, args=(one,)) for one in some]
    for thread in threads:
        thread.start()
        thread.join(timeout=0.5)  # Each begins later than the one before.
    for thread in threads:
        thread.join()
    for server in servers:
        server.close()
    assert missing == [[], [], []] and len(servers) == 3


def test_one_that_does_not_come_is_named():
    first, *_ = clusters(free_port(), free_port())
    assert rendezvous.wait(first, patience=0.5) == [1]


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"to be reached at 127\.0\.0\.1:{port}, and cannot listen there"):
            rendezvous.wait(clusters(port, free_port())[0], patience=0.5)

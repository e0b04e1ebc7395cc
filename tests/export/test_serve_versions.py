"""Versions that come and go while a server runs: what is not whole, loadable or of the same task is not taken up."""

import json
import shutil
import threading

import pytest
import tensorflow as tf

pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

from export import serve
from export.artifact import metadata
from export.served_graph import versions, warm_up
from export.server import keeper
from export.server.keeper import Policy
from tests.export import commands, served_folders, servers
from tests.export.servers import until
from tfrecog.cli import checksums
from tfrecog.cli.errors import UserError

BODY = json.dumps({"instances": [[[[255, 0, 0]]]]})


class Numbered(tf.Module):
    """A classifier whose first score is its number in hundredths, whatever it sees."""

    def __init__(self, number):
        super().__init__()
        self.number = tf.Variable(number / 100)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, "image")])
    def image_tensor(self, image):
        scores = tf.repeat([[self.number, 0.0, 0.0]], tf.shape(image)[0], axis=0)
        names = tf.repeat([["red", "green", "blue"]], tf.shape(image)[0], axis=0)
        return {"scores": scores, "classes": names, "class_scores": scores}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with versions 1 to 6 of a classifier; 4 is of another task."""
    folder = tmp_path_factory.mktemp("written")
    for number in range(1, 7):
        model = served_folders.RedFinder() if number == 4 else Numbered(number)
        served_folders.write(folder, model, "detection" if number == 4 else "classification", version=number)
    return folder


def states(server):
    told = json.loads(server.ask("GET", "/v1/models/numbers")[2])
    return {one["version"]: (one["state"], one["status"]["error_message"]) for one in told["model_version_status"]}


def asked(server, place=""):
    """The version that an answer names; it has to be that version's."""
    status, headers, body = server.ask("POST", f"/v1/models/numbers{place}:predict", BODY)
    assert status == 200, body
    (answer,) = json.loads(body)["predictions"]
    number = headers["tfrecog-model-version"]
    assert round(100 * answer["scores"][0]) == int(number)
    return number


def test_versions_change_while_clients_ask_and_none_fails(written, tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "EVERY", 0.05)
    folder, seen, failures, ended = tmp_path / "numbers", [], [], threading.Event()
    shutil.copytree(written / "1", folder / "1")

    def client(server):
        while not ended.is_set():
            try:
                seen.append(asked(server))
            except (AssertionError, OSError) as error:
                failures.append(error)

    def story(server):
        asking = threading.Thread(target=client, args=[server])
        asking.start()
        try:
            swaps(server)
        finally:
            ended.set()
            asking.join()

    def swaps(server):
        parts = sorted(
            (part for part in (written / "2").rglob("*") if part.is_file()), key=lambda one: one.suffix != ".pb"
        )
        assert parts[0].name.endswith(".pb"), "the first to be copied"
        for part in parts:
            if part.name != checksums.SUMS:
                to = folder / "2" / part.relative_to(written / "2")
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(part, to)
        until(lambda: "SHA256SUMS is not there yet" in states(server).get("2", ("", ""))[1])
        assert asked(server) == "1"
        shutil.copy(written / "2" / metadata.EXTRA / checksums.SUMS, folder / "2" / metadata.EXTRA)
        until(lambda: asked(server) == "2" and states(server)["1"][0] == "END")

        shutil.copytree(written / "3", folder / ".3")
        data = next((folder / ".3" / "variables").glob("*data*"))
        data.write_bytes(data.read_bytes()[:-1])
        (folder / ".3").rename(folder / "3")
        until(lambda: "is damaged" in states(server).get("3", ("", ""))[1])
        shutil.copytree(written / "4", folder / "4")
        until(
            lambda: "a model for detection, and numbers one for classification" in states(server).get("4", ("", ""))[1]
        )
        shutil.rmtree(folder / "2")
        shutil.rmtree(folder / "1")
        until(lambda: "its folder is gone" in states(server).get("2", ("", ""))[1])
        assert asked(server) == "2"

        shutil.copytree(written / "5", folder / "5")
        until(lambda: asked(server) == "5")
        (folder / "stable").symlink_to("5")
        shutil.copytree(written / "6", folder / "6")
        until(lambda: asked(server) == "6")
        assert asked(server, "/labels/stable") == asked(server, "/versions/5") == "5"
        assert set(json.loads(server.ask("GET", "/v2/models/numbers")[2])["versions"]) == {"5", "6"}
        shutil.rmtree(folder / "6")  # Rolled back.
        until(lambda: asked(server) == "5")
        metrics = server.ask("GET", "/metrics")[2].decode()
        assert 'version="5"' in metrics and 'version="2"' not in metrics, "what is gone fills no memory"

    printed = servers.beside(folder, story, watch=True)
    assert not failures and {"1", "2", "5", "6"} <= set(seen)
    assert "numbers is served in version 6" in printed


def test_links_that_are_no_labels_and_folders_that_are_no_versions_stop_nothing(written, tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "EVERY", 0.05)
    folder, elsewhere = tmp_path / "numbers", tmp_path / "elsewhere"
    shutil.copytree(written / "1", folder / "1")
    shutil.copytree(written / "3", elsewhere / "1")
    shutil.copytree(written / "5", folder / "005")  # No address has it.
    shutil.copytree(written / "5", elsewhere / "five")

    def labels(server):
        return json.loads(server.ask("GET", "/v1/models/numbers")[2])["labels"]

    def story(server):
        for name, target in {"circle": "circle", "nowhere": "9", "other": elsewhere / "1", "by_way": "stable"}.items():
            (folder / name).symlink_to(target)
        (folder / "stable").symlink_to("1")
        until(lambda: labels(server) == {"by_way": "1", "stable": "1"})
        assert server.ask("POST", "/v1/models/numbers/labels/other:predict", BODY)[0] == 404
        (folder / "2").symlink_to(elsewhere / "five")
        (folder / "canary").symlink_to("2")
        until(lambda: labels(server) == {"by_way": "1", "canary": "2", "stable": "1"})
        assert set(states(server)) == {"1", "2"}
        folder.rename(tmp_path / "away")
        until(lambda: "its folder is gone" in states(server)["2"][1])
        assert server.ask("POST", "/v1/models/numbers:predict", BODY)[0] == 200
        (tmp_path / "away").rename(folder)
        until(lambda: states(server)["2"] == ("AVAILABLE", ""))

    servers.beside(folder, story, watch=True)


def test_a_list_of_checksums_that_was_cut_off_is_not_whole(written, tmp_path):
    shutil.copytree(written / "1", tmp_path / "1")
    versions.check_whole(tmp_path / "1")
    sums = tmp_path / "1" / metadata.EXTRA / checksums.SUMS
    lines = sums.read_text().splitlines(keepends=True)
    for end in range(1, len(lines)):  # At each of these all that is listed is there.
        sums.write_text("".join(lines[:end]))
        with pytest.raises(UserError, match=r"it is not whole: .* ends before variables/variables.index"):
            versions.check_whole(tmp_path / "1")


def test_several_models_and_named_versions_are_served_at_once(written, tmp_path):
    for name, numbers in (("numbers", (1, 2, 3)), ("others", (3,))):
        for number in numbers:
            shutil.copytree(written / str(number), tmp_path / name / str(number))

    def story(server):
        assert asked(server, "/versions/1") == "1" and asked(server) == "3"
        status, _, body = server.ask("POST", "/v1/models/numbers/versions/2:predict", BODY)
        assert status == 404 and b"served in version 1, 3, not in 2" in body
        assert server.ask("POST", "/v1/models/others:predict", BODY)[0] == 200
        rows = json.loads(server.ask("POST", "/v2/repository/index")[2])
        assert {(row["name"], row["version"]) for row in rows} == {("numbers", "1"), ("numbers", "3"), ("others", "3")}

    with_both = f"{tmp_path / 'numbers'},{tmp_path / 'others'}"
    servers.beside(tmp_path / "numbers", story, model=with_both, versions="1,3", watch=True)


@pytest.mark.parametrize("text", ["latest", "latest:0", "newest:2", "3,", ""])
def test_a_policy_that_is_none_is_refused(text):
    with pytest.raises(UserError, match=r"--versions=.*: name how many of the newest, as latest:2, or which, as 3,4"):
        Policy.of(text)
    assert Policy.of("latest:2") == Policy(2) and Policy.of("3,4") == Policy(0, (3, 4))


def test_what_cannot_be_served_ends_the_command_with_a_sentence(written, tmp_path):
    with pytest.raises(UserError, match=r"--versions: .* has no version 9"):
        commands.run(serve, model=written, versions="1,9", port=0, grpc_port=0)
    with pytest.raises(UserError, match=r"--watch: .*/1 is a version; name the folder that versions"):
        commands.run(serve, model=written / "1", watch=True, port=0, grpc_port=0)
    with pytest.raises(UserError, match="two folders have one name; give each its own with --name"):
        commands.run(serve, model=f"{written},{written}", port=0, grpc_port=0)


def test_the_file_of_warm_up_requests_has_a_picture_of_each_size(tmp_path, monkeypatch):
    monkeypatch.setattr(warm_up, "_sizes_of_run", lambda experiment: [(30, 40), (50, 20)])
    warm_up.write(tmp_path, "signs", None)
    assert warm_up.sizes(tmp_path) == [(30, 40), (50, 20)]
    assert warm_up.sizes(tmp_path / "nowhere") == [warm_up.DEFAULT]

import os

import pytest

from pipelines.build.problems import Refused
from pipelines.formats.inside import inside


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images/sub").mkdir(parents=True)
    (tmp_path / "images/sub/a.png").write_bytes(b"a")
    (tmp_path / "secret.png").write_bytes(b"secret")
    return tmp_path / "images"


@pytest.mark.parametrize("name", ["sub/a.png", "./sub//a.png", "sub/../sub/a.png", "sub/not there.png", "..a.png"])
def test_a_name_in_the_folder_is_a_path_there(folder, name):
    path = folder / os.path.normpath(name)
    assert inside(str(folder), name) == (str(path), path.exists())


@pytest.mark.parametrize("name", ["../secret.png", "sub/../../secret.png", "{folder}/sub/a.png", "/dev/zero", ".."])
def test_a_name_that_leads_out_of_the_folder_is_refused(folder, name):
    with pytest.raises(Refused, match="leads out of"):
        inside(str(folder), name.format(folder=folder))


def test_only_files_are_read_and_links_to_files_are(folder):
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "linked.png").symlink_to(folder.parent / "secret.png")
    assert inside(str(folder), "linked.png") == (str(folder / "linked.png"), True)
    for name, kind in {"pipe": "a pipe", "zero": "a device", "sub": "a folder"}.items():
        with pytest.raises(Refused, match=f"is {kind} in"):
            inside(str(folder), name)


@pytest.mark.parametrize("name", ["a\0.png", "\ud800.png", "x" * 300, "sub/a.png/b.png"])
def test_a_name_that_no_file_can_have_is_refused(folder, name):
    with pytest.raises(Refused, match="no file can be read by the name"):
        inside(str(folder), name)


def test_an_empty_name_is_refused(folder):
    with pytest.raises(Refused, match="the name of the file is empty"):
        inside(str(folder), "")

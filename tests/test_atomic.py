"""A file is there whole, or what was there before is."""

import os
import resource
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tfrecog.cli import files


def test_a_file_that_is_not_finished_leaves_the_old_one_and_no_draft(tmp_path):
    path = tmp_path / "note.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.write(path) as file:
        file.write("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [part.name for part in tmp_path.iterdir()] == ["note.json"]


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "file").write_text("")
    expected = r"cannot write .*file/note\.json: .*choose a folder"
    with pytest.raises(OSError, match=expected), files.write(tmp_path / "file" / "note.json"):
        pass


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    path, limits = tmp_path / "note.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # A write past this fails, as on a full disk.
    try:
        with pytest.raises(files.CannotWrite, match=r"cannot write .*note\.json"), files.write(path) as file:
            file.write("x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_threads_that_ask_for_the_umask_at_once_leave_it_as_it_is():
    before, interval = files.umask(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            seen = set(threads.map(lambda _: files.umask(), range(20_000)))
        assert (seen, files.umask()) == ({before}, before)
    finally:
        sys.setswitchinterval(interval)
        os.umask(before)

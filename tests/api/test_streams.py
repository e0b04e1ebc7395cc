"""Films, folders and lists, one picture at a time."""

import contextlib
import gc
import http.server
import threading
import weakref

import numpy as np
import pytest
from PIL import Image

from tests.films import film
from tfrecog.api import streams
from tfrecog.cli.errors import UserError
from tfrecog.data.reading import Reading

cv2 = pytest.importorskip("cv2", reason="OpenCV, which reads films, is not installed")


def seen(source, every=1):
    """The pictures of a source, and what was told of those that cannot be read."""
    broken = {}
    return list(streams.pictures_of(source, Reading({}), every, broken.__setitem__)), broken


def test_a_film_is_its_frames_in_order_in_red_green_blue(tmp_path):
    path = film(tmp_path / "a.mp4")
    frames, broken = seen(path, every=10)
    assert [name for _, name in frames] == [f"{path}:0", f"{path}:10", f"{path}:20"] and not broken
    for (pixels, _), number in zip(frames, (0, 10, 20), strict=True):
        assert pixels.dtype == np.uint8 and pixels.shape == (48, 64, 3) and pixels.flags.c_contiguous
        assert np.abs(pixels[8:40, 4:24].mean() - 8 * number) < 4
        assert pixels[8:40, 40:60, 2].mean() > 200 > 60 > pixels[8:40, 40:60, 0].mean()


def test_frames_do_not_stay_in_memory(tmp_path):
    alive = []
    for pixels, _ in streams.pictures_of(film(tmp_path / "a.mp4"), Reading({}), 1, print):
        alive.append(weakref.ref(pixels))
        del pixels
    gc.collect()
    assert sum(one() is not None for one in alive) <= 1 and len(alive) == 30


def test_a_folder_is_its_pictures_and_films_below_and_what_is_broken_is_told(tmp_path):
    (tmp_path / "below").mkdir()
    Image.fromarray(np.zeros([4, 6, 3], np.uint8)).save(tmp_path / "below" / "a.png")
    film(tmp_path / "b.mp4", frames=2)
    (tmp_path / "c.jpg").write_text("no picture")
    (tmp_path / "d.mp4").write_text("no film")
    (tmp_path / "notes.txt").write_text("not asked for")
    frames, broken = seen(tmp_path)
    assert [name for _, name in frames] == [f"{tmp_path}/{one}" for one in ("b.mp4:0", "b.mp4:1", "below/a.png")]
    assert broken.keys() == {f"{tmp_path}/c.jpg", f"{tmp_path}/d.mp4"}


def test_a_film_that_was_cut_off_is_told(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(40):
        writer.write(np.full((48, 64, 3), number, np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames, broken = seen(path)
    assert len(frames) < 40 and "it ended after" in broken[str(path)]


class Camera:
    """A capture device as OpenCV has it: frames of one gray each, until it is unplugged; the third is damaged."""

    opened: list["Camera"] = []  # noqa: RUF012 (of all that a test opens)

    def __init__(self, source, frames=5):
        assert source == 0
        self.left, self.number, self.released = frames, -1, False
        self.opened.append(self)

    def isOpened(self):
        return True

    def grab(self):
        self.left, self.number = self.left - 1, self.number + 1
        return self.left >= 0

    def retrieve(self):
        return self.number != 2, np.full([4, 6, 3], (self.number, 0, 200), np.uint8)

    def get(self, _):
        return -1.0

    def release(self):
        self.released = True


def test_a_camera_is_read_frame_by_frame_until_it_ends_and_is_let_go(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    monkeypatch.setattr(Camera, "opened", [])
    frames, broken = seen(0)
    assert [name for _, name in frames] == ["0:0", "0:1", "0:3", "0:4"]
    assert frames[1][0][0, 0].tolist() == [200, 0, 1]
    assert broken == {
        "0:2": "the frame cannot be decoded",
        "camera 0": "it ended after 5 frames: is it still connected?",
    }
    assert [name for _, name in seen(0, every=2)[0]] == ["0:0", "0:4"]
    stream = streams.pictures_of(0, Reading({}), 1, print)
    next(stream)
    stream.close()  # as `break` does, or the end of a program
    assert Camera.opened[-1].number == 0 and all(one.released for one in Camera.opened)


def test_lists_and_generators_are_read_one_by_one():
    taken = []

    def pixels():
        for number in range(3):
            taken.append(number)
            yield np.full([2, 2, 3], number, np.uint8)

    stream = streams.pictures_of(pixels(), Reading({}), 1, print)
    assert next(stream)[0].max() == 0 and taken == [0]
    frames, broken = seen([np.zeros([2, 2, 3], np.uint8), "nothing.jpg"])
    assert len(frames) == 1 and "no such file" in broken["nothing.jpg"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nothing.mp4", "no file is named 'nothing.mp4'"),
        (99, "camera 99 cannot be opened"),
        ("empty/", "no file is named"),
        ("http://127.0.0.1:9/film", "cannot be reached"),
        ("http://127.0.0.1:9/film.mp4", "cannot be opened as a film"),
    ],
)
def test_a_source_that_is_none_is_refused(source, message):
    with pytest.raises(UserError, match=message):
        seen(source)


def test_every_is_a_count_and_what_is_wrong_is_said_at_once(tmp_path):
    with pytest.raises(UserError, match="every=0"):
        streams.pictures_of(tmp_path, Reading({}), 0, print)


@pytest.mark.parametrize("name", ["film.mp4", "film"])
def test_a_film_at_an_address_is_its_frames_by_its_name_or_by_what_the_server_says(tmp_path, name):
    content = film(tmp_path / "a.mp4", frames=3).read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):  # Who looks at the kind alone leaves.
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    frames, broken = seen(f"http://127.0.0.1:{server.server_port}/{name}")
    server.shutdown()
    server.server_close()
    assert len(frames) == 3 and not broken

import numpy as np
import pytest
from PIL import Image

from tfrecog.fitting import split

RANDOM = np.random.default_rng(0)


def hashes(count):
    """Of pictures that have nothing in common."""
    return [int(one) for one in RANDOM.integers(0, 2**63, count)]


def film(count):
    """Hashes of frames: each has two bits other than the one before."""
    now, frames = hashes(1)[0], []
    for _ in range(count):
        for bit in RANDOM.integers(0, 63, 2):
            now ^= 1 << int(bit)
        frames.append(now)
    return frames


@pytest.mark.parametrize(("images", "share"), [(20, 0.2), (200, 0.2), (4000, 0.125), (5000, 0.1), (100_000, 0.025)])
def test_holdout_is_some_500_pictures(images, share):
    assert split.holdout(images) == share


def test_numbered_photographs_are_no_film():
    names = [f"raccoon-{n}.jpg" for n in range(100)]
    found = split.of_hashes(names, dict(zip(names, hashes(100), strict=True)), {})
    assert found.groups == {} and found.shares == ("train:0.8", "val:0.2")


def test_frames_of_several_films_stay_together():
    names = [f"film{f}_{n:04d}.png" for f in range(4) for n in range(30)]
    found = split.of_hashes(names, dict(zip(names, [h for _ in range(4) for h in film(30)], strict=True)), {})
    for f in range(4):
        assert len({found.groups[f"film{f}_{n:04d}.png"] for n in range(30)}) == 1
    assert len(set(found.groups.values())) == 4
    assert "4 films" in " ".join(found.reasons)


def test_one_film_is_cut_into_stretches():
    names = [f"{n}.png" for n in range(200)]
    found = split.of_hashes(names, dict(zip(names, film(200), strict=True)), {})
    groups = {found.groups[name] for name in names}
    assert 3 <= len(groups) <= 10
    assert found.groups["50.png"] == found.groups["51.png"] != found.groups["199.png"]


def test_near_duplicates_and_pictures_of_one_minute_stay_together():
    one, *others = hashes(40)
    names = [f"{chr(97 + n % 26)}{'x' * (n // 26)}.jpg" for n in range(41)]
    known = dict(zip(names, [one, one ^ 0b1011, *others], strict=True))
    minutes = {names[10]: "2024:05:01 10:00", names[11]: "2024:05:01 10:00", names[12]: "2024:05:01 10:07"}
    found = split.of_hashes(names, known, minutes)
    assert found.groups[names[0]] == found.groups[names[1]]
    assert found.groups[names[10]] == found.groups[names[11]]
    assert names[12] not in found.groups and len(found.groups) == 4


def test_pictures_that_are_all_alike_are_each_for_itself():
    names = [f"{chr(97 + n)}.png" for n in range(20)]
    assert split.of_hashes(names, dict.fromkeys(names, 5), {}).groups == {}


def test_few_pictures_are_said_to_flatter():
    names = [f"{chr(97 + n)}.png" for n in range(10)]
    assert "flatter" in split.of_hashes(names, {}, {}).reasons[-1]


def test_the_hash_of_a_picture_outlives_its_compression(tmp_path):
    noise = RANDOM.integers(0, 255, [8, 9, 3]).astype(np.uint8)
    picture = Image.fromarray(noise).resize((270, 240), Image.Resampling.NEAREST)
    other = Image.fromarray(noise[::-1]).resize((270, 240), Image.Resampling.NEAREST)
    for name, one, quality in (("a.jpg", picture, 95), ("b.jpg", picture.resize((180, 160)), 40), ("c.jpg", other, 95)):
        one.save(tmp_path / name, quality=quality)
    found = split.of_pictures(tmp_path, ["a.jpg", "b.jpg", "c.jpg"])
    hashes = [split.difference_hash(Image.open(tmp_path / name)) for name in ("a.jpg", "b.jpg", "c.jpg")]
    assert (hashes[0] ^ hashes[1]).bit_count() <= split.ALIKE < (hashes[0] ^ hashes[2]).bit_count()
    assert found.shares == ("train:0.8", "val:0.2")


def test_a_file_that_is_no_picture_is_alone(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    assert split.of_pictures(tmp_path, ["a.jpg"]).groups == {}

"""Records of scenes as pictures and masks, in the ways that data sets and tools have them."""

import functools
import itertools
import json

import numpy as np
from PIL import Image

from pipelines import scenes
from tfrecog.ops import rle


@functools.cache
def records():
    """Three small scenes, the last without objects; no two masks share a pixel."""
    made = []
    for number, objects in enumerate((4, 3, 0)):
        options = scenes.Scenes(height=64, width=80, min_objects=objects, max_objects=objects, format="png")
        record, _ = scenes.make(scenes.Scene(f"{number}.png", "train", number, options))
        made.append(record)
    return made


def masks_of(record):
    return [rle.decode(mask, record.height, record.width) for mask in record.masks]


def write_pictures(folder, made):
    folder.mkdir(parents=True, exist_ok=True)
    for record in made:
        (folder / record.filename).write_bytes(record.encoded)


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_instance_maps(folder, made):
    """PennFudan's: PNGImages/1.png and PedMasks/1_mask.png."""
    write_pictures(folder / "PNGImages", made)
    for record in made:
        save(folder / "PedMasks" / f"{record.filename[:-4]}_mask.png", numbered(record))
    return {"images": str(folder / "PNGImages"), "annotations": str(folder / "PedMasks")}


def numbered(record):
    """The map of the numbers of a record's objects."""
    values = np.zeros((record.height, record.width), np.uint8)
    for number, mask in enumerate(masks_of(record), 1):
        values[mask] = number
    return values


def write_voc(folder, made):
    """SegmentationObject of Pascal VOC: palettes, and borders of 255."""
    write_pictures(folder / "JPEGImages", made)
    for record in made:
        values = numbered(record)
        below = values[-1]
        below[(below == 0) & bool(record.masks)] = 255
        save_palette(folder / "SegmentationObject" / record.filename, values)
    return {"images": str(folder / "JPEGImages"), "annotations": str(folder / "SegmentationObject")}


def save_palette(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(values)
    picture.putpalette([channel for value in range(256) for channel in (value, 255 - value, 77)])
    picture.save(path)


def write_davis(folder, made):
    """Folders of sequences, whose frames have the same names; palettes."""
    for record in made:
        frame = f"480p/sequence{record.filename[:-4]}/00000.png"
        (folder / "JPEGImages" / frame).parent.mkdir(parents=True)
        (folder / "JPEGImages" / frame).write_bytes(record.encoded)
        save_palette(folder / "Annotations" / frame, numbered(record))
    return {"images": str(folder / "JPEGImages/480p"), "annotations": str(folder / "Annotations/480p")}


def write_cityscapes(folder, made):
    """Pictures and instanceIds in folders of splits and cities, beside what Cityscapes has of other files."""
    for record in made:
        stem = f"ulm_000000_00000{record.filename[:-4]}"
        (folder / "leftImg8bit/train/ulm").mkdir(parents=True, exist_ok=True)
        (folder / f"leftImg8bit/train/ulm/{stem}_leftImg8bit.png").write_bytes(record.encoded)
        values = np.full((record.height, record.width), 7, np.uint16)  # road
        for number, (mask, label) in enumerate(zip(masks_of(record), record.labels, strict=True)):
            values[mask] = (24 + label) * 1000 + number
        save(folder / f"gtFine/train/ulm/{stem}_gtFine_instanceIds.png", values)
        save(
            folder / f"gtFine/train/ulm/{stem}_gtFine_labelIds.png",
            np.where(values < 1000, values, values // 1000).astype(np.uint8),
        )
        save(folder / f"gtFine/train/ulm/{stem}_gtFine_color.png", np.zeros((record.height, record.width, 3), np.uint8))
    table = "".join(f"{24 + label} {name}\n" for label, name in enumerate(scenes.CLASSES, 1))
    (folder / "classes.txt").write_text(table)
    places = {"images": str(folder / "leftImg8bit/train"), "annotations": str(folder / "gtFine/train")}
    return places | {"classes": str(folder / "classes.txt")}


def write_named(folder, made):
    """images/1.png and masks/1_disc_2.png."""
    write_pictures(folder / "images", made)
    for record in made:
        for number, (mask, name) in enumerate(zip(masks_of(record), record.names, strict=True)):
            save(folder / "masks" / f"{record.filename[:-4]}_{name}_{number}.png", mask)
    return {"images": str(folder / "images"), "annotations": str(folder / "masks"), "negatives": True}


def write_in_one_folder(folder, made):
    """1.png and 1_disc_2.png."""
    given = write_named(folder, made)
    for path in (folder / "masks").iterdir():
        path.rename(folder / "images" / path.name)
    return {"annotations": given["images"], "negatives": True}


def write_bowl(folder, made):
    """A folder for each image, as of the 2018 Data Science Bowl; names of masks are hexadecimal digits."""
    for record in made:
        stem = f"e{record.filename[:-4]}f9"
        (folder / stem / "images").mkdir(parents=True)
        (folder / stem / "images" / f"{stem}.png").write_bytes(record.encoded)
        for number, mask in enumerate(masks_of(record)):
            save(folder / stem / "masks" / f"07a{number}c0ffee.png", mask.astype(np.uint8) * 255)
    return {"annotations": str(folder), "negatives": True}


def packed(values, lengths=(3, 4, 8, 16)):
    """Label Studio's run lengths of bytes [n]: runs of one value, and of a value for each place between those."""
    bits = [f"{len(values):032b}{8 - 1:05b}", *(f"{length - 1:04b}" for length in lengths)]
    runs = [(value, len([*those])) for value, those in itertools.groupby(values.tolist())]
    for single, those in itertools.groupby(runs, lambda run: run[1] == 1):
        for run in [[value for value, _ in those]] if single else ([value] * count for value, count in those):
            for first in range(0, len(run), 1 << lengths[-1]):
                part = run[first : first + (1 << lengths[-1])]
                kind = next(k for k, length in enumerate(lengths) if len(part) <= 1 << length)
                bits.append(f"{int(not single)}{kind:02b}{len(part) - 1:0{lengths[kind]}b}")
                bits += [f"{value:08b}" for value in (part if single else part[:1])]
    text = "".join(bits)
    return [int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8)]


def write_brushes(folder, made):
    """Label Studio's JSON of brushes, which are colours with an alpha channel."""
    write_pictures(folder / "images", made)
    tasks, rng = [], np.random.default_rng(0)
    for record in made:
        regions = []
        size = {"original_width": record.width, "original_height": record.height, "image_rotation": 0}
        for mask, name in zip(masks_of(record), record.names, strict=True):
            colours = np.stack([mask * rng.integers(1, 256, mask.shape)] * 3 + [mask * 255], -1).astype(np.uint8)
            value = {"format": "rle", "rle": packed(colours.ravel()), "brushlabels": [name]}
            regions.append(size | {"type": "brushlabels", "value": value, "id": f"r{len(regions)}"})
        data = {"image": f"/data/local-files/?d={record.filename}"}
        tasks.append({"id": len(tasks) + 1, "data": data, "annotations": [{"result": regions}]})
    (folder / "project.json").write_text(json.dumps(tasks))
    return {"images": str(folder / "images"), "annotations": str(folder / "project.json")}

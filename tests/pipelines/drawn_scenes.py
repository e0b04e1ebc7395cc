"""Scenes of known objects, as COCO JSON and as the files of other tools, which must give the same records."""

import csv
import json
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

CLASSES = ("ant", "bee")
JOINTS = ("left_eye", "nose", "right_eye")


@dataclass
class Object:
    """An object in pixels; COCO's conventions."""

    name: str
    box: tuple  # x1, y1, x2, y2
    polygons: tuple = ()  # [n, 2] points (x, y) of each
    points: tuple = ()  # (x, y, visibility) of each joint


@dataclass
class Scene:
    file: str
    height: int
    width: int
    objects: list = field(default_factory=list)


def scenes(kind, parts=1):
    """Three images, the last without objects; of "boxes", "polygons" (of so many parts) or "pose"."""
    rng, made = np.random.default_rng(7), []
    for file, height, width, count in (("a.png", 40, 60, 2), ("sub/b.png", 71, 53, 3), ("c.png", 30, 30, 0)):
        scene = Scene(file, height, width)
        for k in range(count):
            polygons = ()
            if kind == "polygons":
                centres = rng.uniform(10, min(height, width) - 10, (parts, 2))
                angles = [np.sort(rng.uniform(0, 2 * np.pi, 7)) for _ in range(parts)]
                polygons = tuple(
                    np.round(centre + rng.uniform(4, 9) * np.stack([np.cos(a), np.sin(a)], -1), 3)
                    for centre, a in zip(centres, angles, strict=True)
                )
                around = np.concatenate(polygons)
                box = (*around.min(axis=0), *around.max(axis=0))
            else:
                x1, y1 = rng.uniform(1, (width - 20, height - 20)).round(3)
                box = (x1, y1, *(np.array([x1, y1]) + rng.uniform(6, 19, 2)).round(3))
            points = ()
            if kind == "pose":
                places = np.round(rng.uniform((box[0] + 1, box[1] + 1), (box[2] - 1, box[3] - 1), (3, 2)), 3)
                points = tuple((x, y, v) for (x, y), v in zip(places.tolist(), (2, 1, 2), strict=True))
                points = (*points[:2], (0, 0, 0)) if k == 1 else points
            scene.objects.append(Object(CLASSES[k % 2], tuple(float(side) for side in box), polygons, points))
        made.append(scene)
    return made


def write_images(folder, made):
    rng = np.random.default_rng(0)
    for scene in made:
        path = folder / scene.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (scene.height, scene.width, 3), np.uint8)).save(path)
    return folder


def write_coco(path, made, pose=False):
    """COCO JSON of scenes; returns its path."""
    keypoints = {"keypoints": list(JOINTS), "skeleton": []} if pose else {}
    tree = {"images": [], "annotations": [], "categories": []}
    tree["categories"] = [{"id": number, "name": name, **keypoints} for number, name in enumerate(CLASSES, 1)]
    for image_id, scene in enumerate(made, 1):
        size = {"height": scene.height, "width": scene.width}
        tree["images"].append({"id": image_id, "file_name": scene.file, **size})
        for one in scene.objects:
            x1, y1, x2, y2 = one.box
            annotation = {"id": len(tree["annotations"]) + 1, "image_id": image_id, "iscrowd": 0}
            annotation |= {"category_id": 1 + CLASSES.index(one.name), "bbox": [x1, y1, x2 - x1, y2 - y1]}
            if one.polygons:
                annotation["segmentation"] = [polygon.ravel().tolist() for polygon in one.polygons]
            if one.points:
                annotation["keypoints"] = [value for point in one.points for value in point]
            tree["annotations"].append(annotation)
    path.write_text(json.dumps(tree))
    return path


def write_yolo(folder, made, pose=False):
    """YOLO label files beside `images`, with data.yaml in the folder; returns that."""
    for scene in made:
        lines = []
        for one in scene.objects:
            x1, y1, x2, y2 = one.box
            box = ((x1 + x2) / 2 / scene.width, (y1 + y2) / 2 / scene.height)
            values = [*box, (x2 - x1) / scene.width, (y2 - y1) / scene.height]
            if one.polygons:
                values = (one.polygons[0] / (scene.width, scene.height)).ravel().tolist()
            values += [v for x, y, seen in one.points for v in (x / scene.width, y / scene.height, seen)]
            lines.append(" ".join([str(CLASSES.index(one.name)), *(f"{value:.8g}" for value in values)]))
        path = (folder / "labels" / scene.file).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
    more = f"kpt_shape: [{len(JOINTS)}, 3]\nflip_idx: [2, 1, 0]\n" if pose else ""
    path = folder / "data.yaml"
    path.write_text(f"train: images\nval: images\nnc: 2\nnames: [{', '.join(CLASSES)}]\n{more}")
    return {"annotations": str(path)}


def write_labelme(folder, made, pose=False):
    """A JSON file beside each image; an object's polygons and keypoints are of one group."""
    for scene in made:
        shapes = []
        for group, one in enumerate(scene.objects):
            shape = {"label": one.name, "group_id": group, "flags": {}}
            if one.polygons:
                shapes += [shape | {"shape_type": "polygon", "points": polygon.tolist()} for polygon in one.polygons]
            else:
                corners = [[one.box[2], one.box[1]], [one.box[0], one.box[3]]]  # as they were dragged
                shapes.append(shape | {"shape_type": "rectangle", "points": corners})
            for joint, (x, y, seen) in zip(JOINTS, one.points, strict=False):
                marks = {"shape_type": "point", "flags": {"occluded": seen == 1}}
                shapes += [shape | marks | {"label": joint, "points": [[x, y]]}] if seen else []
        tree = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": scene.file.rpartition("/")[2]}
        tree |= {"imageData": None, "imageHeight": scene.height, "imageWidth": scene.width}
        (folder / "images" / scene.file).with_suffix(".json").write_text(json.dumps(tree))
    return {"annotations": str(folder / "images")}


def _labels_of_cvat(pose):
    labels = [f"<label><name>{name}</name><type>any</type></label>" for name in CLASSES]
    joints = [
        f"<label><name>{joint}</name><type>points</type><parent>{name}</parent></label>"
        for name in CLASSES
        for joint in JOINTS
    ]
    return "".join(labels + (joints if pose else []))


def _joints_of_cvat(one):
    return "".join(
        f'<points label="{joint}" outside="{int(not seen)}" occluded="{int(seen == 1)}" points="{x},{y}"/>'
        for joint, (x, y, seen) in zip(JOINTS, one.points, strict=True)
    )


def write_cvat(folder, made, pose=False):
    """CVAT's XML for images 1.1; an object's polygons are of one group, its skeleton is in that of its box."""
    text = f"<annotations><version>1.1</version><meta><task><labels>{_labels_of_cvat(pose)}</labels></task></meta>"
    for number, scene in enumerate(made):
        text += f'<image id="{number}" name="{scene.file}" width="{scene.width}" height="{scene.height}">'
        for group, one in enumerate(scene.objects, 1):
            label = f'label="{one.name}" group_id="{group}"'
            for polygon in one.polygons:
                points = ";".join(f"{x},{y}" for x, y in polygon)
                text += f'<polygon {label} points="{points}"/>'
            if not one.polygons:
                x1, y1, x2, y2 = one.box
                text += f'<box {label} xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}"/>'
            if one.points:
                text += f"<skeleton {label}>{_joints_of_cvat(one)}</skeleton>"
        text += "</image>"
    (folder / "annotations.xml").write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text}</annotations>')
    return {"annotations": str(folder / "annotations.xml"), "images": str(folder / "images")}


def write_via(folder, made):
    """A project of VIA 2."""
    entries = {}
    for scene in made:
        regions = []
        for one in scene.objects:
            x1, y1, x2, y2 = one.box
            shape = {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
            if one.polygons:
                xs, ys = one.polygons[0].T.tolist()
                shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
            regions.append({"shape_attributes": shape, "region_attributes": {"kind": one.name}})
        entries[f"{scene.file}123"] = {"filename": scene.file, "size": 123, "regions": regions, "file_attributes": {}}
    (folder / "via.json").write_text(json.dumps({"_via_settings": {}, "_via_img_metadata": entries}))
    return {"annotations": str(folder / "via.json"), "images": str(folder / "images")}


def write_via3(folder, made):
    """A project of VIA 3, of images that a server had; the class is one of a choice."""
    tree = {"project": {"data_format_version": "3.1.2", "vid_list": []}, "config": {}, "metadata": {}}
    tree |= {"file": {}, "view": {}}
    options = dict(zip("ab", CLASSES, strict=True))
    tree["attribute"] = {"1": {"aname": "class", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": options}}
    for fid, scene in enumerate(made, 1):
        tree["file"][str(fid)] = {"fid": fid, "fname": scene.file, "type": 2, "loc": 2, "src": f"http://a/{scene.file}"}
        tree["view"][str(fid)] = {"fid_list": [str(fid)]}
        tree["metadata"][f"{fid}_of_file"] = {"vid": str(fid), "flg": 0, "z": [], "xy": [], "av": {}}
        for number, one in enumerate(scene.objects):
            x1, y1, x2, y2 = one.box
            xy = [7, *one.polygons[0].ravel().tolist()] if one.polygons else [2, x1, y1, x2 - x1, y2 - y1]
            av = {"1": "ab"[CLASSES.index(one.name)]}
            tree["metadata"][f"{fid}_{number}"] = {"vid": str(fid), "flg": 0, "z": [], "xy": xy, "av": av}
    (folder / "via3.json").write_text(json.dumps(tree))
    return {"annotations": str(folder / "via3.json"), "images": str(folder / "images")}


def write_via_csv(folder, made):
    """The CSV of the same project: a row for each region, with JSON in its cells."""
    given = write_via(folder, made)
    entries = json.loads((folder / "via.json").read_text())["_via_img_metadata"]
    with open(folder / "via.csv", "w", newline="") as file:
        rows = csv.writer(file)
        names = ("filename", "file_size", "file_attributes", "region_count", "region_id")
        rows.writerow([*names, "region_shape_attributes", "region_attributes"])
        for entry in entries.values():
            listed = entry["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]
            for number, region in enumerate(listed):
                cells = (json.dumps(region[name]) for name in ("shape_attributes", "region_attributes"))
                rows.writerow([entry["filename"], entry["size"], "{}", len(entry["regions"]), number, *cells])
    (folder / "via.json").unlink()
    return given | {"annotations": str(folder / "via.csv")}


def write_label_studio(folder, made, pose=False):
    """Label Studio's JSON, as it exports it; keypoints belong to the region of their object."""
    tasks = []
    for number, scene in enumerate(made, 1):
        scale, result = np.array([100 / scene.width, 100 / scene.height]), []
        size = {"original_width": scene.width, "original_height": scene.height, "image_rotation": 0}
        for k, one in enumerate(scene.objects):
            (x, y), (width, height) = scale * one.box[:2], scale * np.subtract(one.box[2:], one.box[:2])
            value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [one.name]}
            kind = "rectanglelabels"
            if one.polygons:
                kind = "polygonlabels"
                value = {"points": (one.polygons[0] * scale).tolist(), "closed": True, kind: [one.name]}
            result.append(
                size | {"type": kind, "value": value, "id": f"r{k}", "from_name": "label", "to_name": "image"}
            )
            for joint, (px, py, seen) in zip(JOINTS, one.points, strict=False):
                place = {"x": px * scale[0], "y": py * scale[1], "width": 0.4, "keypointlabels": [joint]}
                more = {"type": "keypointlabels", "value": place, "id": f"r{k}{joint}", "parentID": f"r{k}"}
                result += [size | more] if seen else []
        data = {"image": f"/data/local-files/?d={scene.file}"}
        tasks.append({"id": number, "data": data, "annotations": [{"id": number, "result": result}], "predictions": []})
    (folder / "project.json").write_text(json.dumps(tasks))
    return {"annotations": str(folder / "project.json"), "images": str(folder / "images")}


def write_json_min(folder, made):
    """Label Studio's JSON-MIN: of each task its data, and the values of its regions by their tag."""
    given = write_label_studio(folder, made)
    path = folder / "project.json"
    entries = []
    for task in json.loads(path.read_text()):
        (annotation,) = task["annotations"]
        sizes = ("original_width", "original_height")
        listed = [one["value"] | {key: one[key] for key in sizes} for one in annotation["result"]]
        entry = task["data"] | {"id": task["id"], "label": listed, "annotator": 1, "annotation_id": annotation["id"]}
        entries.append(entry | {"created_at": "2024-01-30T02:40:43.893565Z", "lead_time": 8.6})
    path.write_text(json.dumps(entries))
    return given


def write_csv(folder, made):
    """A row for each box, as TensorFlow's examples have it; images without objects have empty cells."""
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for scene in made:
        size = f"{scene.file},{scene.width},{scene.height}"
        rows += [f"{size},{one.name},{','.join(map(str, one.box))}" for one in scene.objects] or [f"{size},,,,,"]
    (folder / "boxes.csv").write_text("\n".join(rows))
    return {"annotations": str(folder / "boxes.csv"), "images": str(folder / "images")}


def write_openimages(folder, made):
    """Fractions of the image, whose name has no extension, in columns of OpenImages."""
    rows = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"]
    for scene in made:
        for one in scene.objects:
            x1, y1, x2, y2 = np.divide(one.box, (scene.width, scene.height) * 2).tolist()
            rows.append(f"{scene.file.removesuffix('.png')},xclick,{one.name},1,{x1},{x2},{y1},{y2},0,0,0")
    (folder / "openimages.csv").write_text("\n".join(rows))
    return {"annotations": str(folder / "openimages.csv"), "images": str(folder / "images"), "negatives": True}

"""The project of VIA 3, as the entries that a project of VIA 2 has for its images."""

from typing import Any

from . import tool_values

_POINTS = {6: "polyline", 7: "polygon"}
# Numbers of shapes → their names and those of their coordinates in VIA 2.
_SHAPES = {
    1: ("point", ("cx", "cy")),
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
}
_CHECKBOX = 2  # a type of attributes


def is_project(tree: Any) -> bool:
    """Whether it is a project of VIA 3."""
    return isinstance(tree, dict) and all(isinstance(tree.get(name), dict) for name in ("file", "view", "metadata"))


def entries_of(tree: dict) -> list[dict]:
    """An entry for each view with its file and regions; what is drawn in no view has one without a name.

    A view of several files has one for all of them, of the first file: VIA does not say which of them a region is in.
    """
    entries = {}
    for vid, view in tree["view"].items():
        listed = _dict(view).get("fid_list")
        files = [_dict(tree["file"].get(str(one))) for one in listed] if isinstance(listed, list) else []
        entries[vid] = {"filename": _name(files[0]) if files else "", "regions": []}
    for one in map(_dict, tree["metadata"].values()):
        coordinates = one.get("xy")
        if isinstance(coordinates, list) and not coordinates:
            continue  # It is of the whole file, or of a part of a film.
        entry = entries.setdefault(str(one.get("vid")), {"filename": "", "regions": []})
        region = {"shape_attributes": _shape(coordinates), "region_attributes": _attributes(tree, one)}
        entry["regions"].append(region)
    return list(entries.values())


def _name(file: dict) -> str:
    """The name of a file or its address, or a number that stands in its place; "" without any."""
    values = file.get("fname"), file.get("src")
    numbers = (str(value) for value in values if type(value) in (int, float))
    return next(filter(None, [*filter(tool_values.is_text, values), *numbers]), "")


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _shape(coordinates: Any) -> Any:
    kind, *numbers = coordinates if isinstance(coordinates, list) else [coordinates]
    kind = tool_values.whole(kind)
    if kind in _POINTS:
        return {"name": _POINTS[kind], "all_points_x": numbers[::2], "all_points_y": numbers[1::2]}
    name, keys = _SHAPES.get(kind or 0, (f"shape {kind}", ()))
    return {"name": name, **dict(zip(keys, numbers, strict=False))}


def _attributes(tree: dict, region: dict) -> dict[str, Any]:
    """By the names of attributes what a region has: a text, or of boxes to check those that are."""
    described, made = _dict(tree.get("attribute")), {}
    for number, value in _dict(region.get("av")).items():
        attribute = _dict(described.get(number))
        options = _dict(attribute.get("options"))
        if attribute.get("type") == _CHECKBOX and isinstance(value, str):
            value = {str(options.get(one, one)): True for one in value.split(",") if one}
        elif isinstance(value, str):
            value = options.get(value, value)
        made[str(attribute.get("aname", number))] = value
    return made

"""What a person should know before a training and beside its numbers."""

from tfrecog.fitting.facts import Facts

TOO_FEW, FEW = 30, 100  # pictures
RARE = 10  # objects, or pictures of a class


def before(facts: Facts) -> list[str]:
    """Sentences about what the data allow."""
    said, count = [], facts.images
    if count < TOO_FEW:
        said.append(
            f"{count} picture{'s are' if count > 1 else ' is'} too few for a model to be relied on: expect it to find "
            "what looks like the pictures that it saw, and to miss much of the rest; 50 to 100 more will help more "
            "than any setting"
        )
    elif count < FEW:
        said.append(f"{count} pictures are few: more of them will help more than any setting")
    seen = {one.name: one.objects if facts.task == "detection" else one.pictures for one in facts.classes}
    rare = [name for name, number in seen.items() if 0 < number < RARE]
    never = [name for name, number in seen.items() if not number]
    what = "objects" if facts.task == "detection" else "pictures"
    if rare and count >= TOO_FEW:
        said.append(f"{_listed(rare)}: fewer than {RARE} {what} to learn from, so little can be expected")
    if never:
        said.append(f"{_listed(never)}: no {what} to learn from")
    return said


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more classes" if len(names) > 5 else "")

"""The images of one source shared out among splits: by shares, with balanced classes, and groups kept together.

Which images a split gets follows from the names, classes and groups of all images, the shares and the seed. So the
command of each split finds the same, and nothing is kept between them.
"""

import collections
import hashlib
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence

from .problems import Problem, Refused

_ALL = None  # the class of all images
Counts = Mapping[Hashable, int]  # images by class


def of_flag(texts: Sequence[str]) -> dict[str, float]:
    """The share of each split, by texts of NAME:SHARE; Refused if they do not add up to 1."""
    given, shares = f"--shares={','.join(texts)}", {}
    for text in texts:
        name, _, share = text.rpartition(":")
        try:
            shares[name] = float(share)
        except ValueError:
            shares[name] = 0.0
        if not name or not 0 < shares[name] <= 1:
            raise Refused(f"{given}: {text} is not NAME:SHARE with a share of more than 0, such as train:0.8")
    if len(shares) < len(texts):
        raise Refused(f"{given} names a split twice: give each split once")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise Refused(f"{given} add up to {sum(shares.values()):g}: correct them, so that they add up to 1")
    return shares


def groups_of(names: Sequence[str], pattern: str, found: list[Problem]) -> list[str]:
    """The group of each image: what `pattern` matches in its name. Without a match, or a pattern, it is the name."""
    if not pattern:
        return list(names)
    try:
        matches = [re.search(pattern, name) for name in names]
    except re.error as error:
        raise Refused(f"--group={pattern} is not a regular expression: {error}; correct it") from error
    alone = [name for name, match in zip(names, matches, strict=True) if not match]
    if len(alone) == len(names):
        raise Refused(f"--group={pattern} matches no name of an image, such as {names[0]}: correct it")
    if alone:
        what = f"--group={pattern} does not match it, nor {len(alone) - 1:,} others of {len(names):,} names"
        remedy = "Each is a group of its own: correct --group if it belongs to others."
        found.append(Problem("image without group", alone[0], what, remedy))
    return [match.group() if match else name for name, match in zip(names, matches, strict=True)]


def assigned(groups: Mapping[str, Counts], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each group, by how many images of each class it has.

    The rarest class is shared out first (Sechidis et al. 2011, "On the stratification of multi-label data"), and of a
    class the largest groups, in an order by seed. A group goes to the split that has least of its share of the group's
    classes, by the quotients of Sainte-Laguë: (images there + half of the group's) / share.
    """

    def drawn(*parts: str) -> bytes:
        return hashlib.sha256("\n".join([str(seed), *parts]).encode(errors="surrogatepass")).digest()

    of_class, totals = collections.defaultdict(list), collections.Counter()
    for name in sorted(groups, key=drawn):
        totals.update(groups[name])
        for kind in groups[name]:
            of_class[kind].append(name)
    there = {split: collections.Counter() for split in shares}
    result: dict[str, str] = {}
    for kind in sorted(of_class, key=lambda kind: (totals[kind], repr(kind))):
        for name in sorted(of_class[kind], key=lambda name: -groups[name][kind]):
            if name not in result:
                counts = groups[name]
                quotients = {
                    split: sum(there[split][one] + count / 2 for one, count in counts.items()) / share
                    for split, share in shares.items()
                }
                *_, result[name] = min((quotient, drawn(name, split), split) for split, quotient in quotients.items())
                there[result[name]].update(counts)
    return result


def parts(
    classes: Sequence[Iterable[Hashable]], groups: Sequence[str], shares: Mapping[str, float], seed: int
) -> list[str]:
    """The split of each image, by its classes and its group."""
    counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for its_classes, group in zip(classes, groups, strict=True):
        counts[group].update({_ALL, *its_classes})
    split_of = assigned(counts, shares, seed)
    return [split_of[group] for group in groups]

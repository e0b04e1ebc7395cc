"""The images of one source shared out among splits: by shares, with balanced classes, and groups kept together.

Which images a split gets follows from the names, classes and groups of all images, the shares and the seed. So the
command of each split finds the same, and nothing is kept between them.
"""

import collections
import hashlib
from collections.abc import Hashable, Mapping, Sequence

from .problems import Refused

_ALL = None  # the class of all images
Weights = Mapping[Hashable, float]  # by class: 1 of an object, or the pixels of a label map
Classes = Sequence[Hashable] | Weights  # of an image: those of its objects, each of which weighs 1, or the weights


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


def assigned(groups: Mapping[str, Weights], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each group, by how much of each class it has.

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
        left = (name for name in of_class[kind] if name not in result)
        for name in sorted(left, key=lambda name: -groups[name][kind]):
            counts = groups[name]
            half = sum(counts.values()) / 2
            sums = {split: half + sum(map(those.__getitem__, counts)) for split, those in there.items()}
            *_, result[name] = min((sums[split] / shares[split], drawn(name, split), split) for split in shares)
            there[result[name]].update(counts)
    return result


def parts(classes: Sequence[Classes], groups: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each image, by its classes and its group.

    A class weighs 1 on the average of the images that have it, so that none counts more for having more pixels.
    """
    weighed = [its if isinstance(its, Mapping) else dict.fromkeys(its, 1) for its in classes]
    totals, images = collections.Counter(), collections.Counter()
    for its in weighed:
        totals.update(its)
        images.update(its.keys())
    of_group: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for its, group in zip(weighed, groups, strict=True):
        means = {kind: _exact(weight * images[kind] / totals[kind]) for kind, weight in its.items()}
        of_group[group].update({_ALL: 1, **means})
    split_of = assigned(of_group, shares, seed)
    return [split_of[group] for group in groups]


def _exact(weight: float) -> float:
    """A weight in whole 2^-20ths, whose sums are the same in every order."""
    return round(weight * 2**20) / 2**20

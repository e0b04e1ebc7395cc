"""The words in the names of classes and keypoints."""


def words(name: str) -> set[str]:
    """In small letters: of left_eye, LEFT_EYE, leftEye and "eye, left" they are left and eye."""
    apart = "".join(letter if letter.isalpha() else " " for letter in name)
    at_capitals = "".join(f" {letter}" if letter.isupper() else letter for letter in apart)
    return {*apart.lower().split(), *at_capitals.lower().split()}

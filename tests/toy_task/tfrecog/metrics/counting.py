"""The numbers of counting."""


class Evaluator:
    """Gathers the counts of images, said and true."""

    def __init__(self):
        self.errors = []

    def add(self, said: float, true: int) -> None:
        """Of one image."""
        self.errors.append(abs(said - true))

    def summarize(self) -> dict[str, float]:
        """`mean_error`, and `exact`, the fraction of images whose rounded count is right."""
        return {
            "mean_error": float(sum(self.errors) / len(self.errors)),
            "exact": sum(error < 0.5 for error in self.errors) / len(self.errors),
        }

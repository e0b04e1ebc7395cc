"""What reads and writes the value of a flag, by its type: int, float, str, Literal, and tuples of these."""

from typing import Any, Literal, get_args, get_origin

from absl import flags as absl_flags


def parser(kind: Any) -> tuple[absl_flags.ArgumentParser, absl_flags.ArgumentSerializer]:
    """absl's parser and serializer of a type; TypeError if no flag can hold it."""
    scalars = {int: _IntegerParser, float: _FloatParser, str: absl_flags.ArgumentParser}
    if kind in scalars:
        return scalars[kind](), absl_flags.ArgumentSerializer()
    if get_origin(kind) is Literal:
        return absl_flags.EnumParser(list(get_args(kind))), absl_flags.ArgumentSerializer()
    if get_origin(kind) is tuple:
        return _TupleParser(parser(get_args(kind)[0])[0]), absl_flags.CsvListSerializer(",")
    raise TypeError(f"no flag can hold a {kind}")


class _IntegerParser(absl_flags.IntegerParser):
    def convert(self, argument: int | str) -> int:
        try:
            return super().convert(argument)
        except (TypeError, ValueError) as error:
            raise ValueError("needs a whole number") from error


class _FloatParser(absl_flags.FloatParser):
    def convert(self, argument: int | float | str) -> float:
        try:
            return super().convert(argument)
        except (TypeError, ValueError) as error:
            raise ValueError("needs a number") from error


class _TupleParser(absl_flags.ArgumentParser):
    """Reads `1,2,3` as a tuple."""

    syntactic_help = "a comma separated list"

    def __init__(self, item: absl_flags.ArgumentParser):
        self.item = item

    def parse(self, argument: str | tuple) -> tuple:
        parts = argument.split(",") if isinstance(argument, str) else argument
        return tuple(self.item.parse(part) for part in parts if part != "")

    def flag_type(self) -> str:
        return f"comma separated {self.item.flag_type()}s"

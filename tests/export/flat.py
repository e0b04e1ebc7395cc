"""Reads flatbuffers of which no package here has the classes: fields by their number in the schema."""

from flatbuffers import number_types
from flatbuffers.table import Table


def root(content) -> Table:
    """The root table of a buffer."""
    return Table(bytearray(content), int.from_bytes(content[:4], "little"))


def child(table, field, index=None):
    """The table in a field of a table, or one of the vector of tables there."""
    place = table.Offset(4 + 2 * field)
    return Table(table.Bytes, table.Indirect(table.Pos + place if index is None else table.Vector(place) + 4 * index))


def children(table, field):
    """The tables of a vector; none where it is missing."""
    place = table.Offset(4 + 2 * field)
    return [child(table, field, index) for index in range(table.VectorLen(place) if place else 0)]


def number(table, field, kind=number_types.Int8Flags):
    """A number; 0 where it is left at its default, which is 0 in this schema."""
    place = table.Offset(4 + 2 * field)
    return table.Get(kind, table.Pos + place) if place else 0


def numbers(table, field, kind):
    """The numbers of a vector."""
    place = table.Offset(4 + 2 * field)
    return [table.Get(kind, table.Vector(place) + kind.bytewidth * i) for i in range(table.VectorLen(place))]


def text(table, field):
    """A text."""
    return table.String(table.Pos + table.Offset(4 + 2 * field)).decode()

"""Flags that had another name before, so that an old flagfile is refused with the names of today."""

RENAMED: dict[str, str] = {}

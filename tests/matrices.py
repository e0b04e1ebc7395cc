"""Long matrices of cases, of which `make test` has representatives."""

import pytest


def representatives(cases, *chosen):
    """Parameters of all cases; those that are not chosen are left to `make test-long`."""
    cases = list(cases)
    assert set(chosen) <= set(cases)
    return [case if case in chosen else _long(case) for case in cases]


def _long(case):
    return pytest.param(*case if isinstance(case, tuple) else (case,), marks=pytest.mark.long)

"""TFLite files that several modules look at."""

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Runs by the name of their recipe, each exported once; see `exported.Exported`."""
    from tests.export.exported import Exported  # of packages that a test may do without

    made = {}

    def of(recipe):
        if recipe not in made:
            made[recipe] = Exported(recipe, tmp_path_factory.mktemp(recipe))
        return made[recipe]

    return of

import keras
import numpy as np
import pytest

from tfrecog.weights import tensors


def test_of_many_tensors_that_do_not_fit_twenty_of_a_kind_are_listed_and_all_are_counted():
    variables = [keras.Variable(np.zeros(2), name=f"v{i}") for i in range(30)]
    state = {f"other{i}": np.zeros(3) for i in range(25)} | {"v0": np.zeros(5)}
    with pytest.raises(ValueError, match="In all: 29 missing, 1 of another shape, 25 left over") as error:
        tensors.match(variables, state, lambda path: path, lambda path, value: value)
    lines = str(error.value).splitlines()
    assert sum("missing v" in line for line in lines) == sum("left over other" in line for line in lines) == 20
    assert "v0 (5,) gives (5,), but v0 is (2,)" in str(error.value)

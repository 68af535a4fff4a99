"""Near-duplicates: copies that were changed a little are found, different images are not."""

import numpy as np

from imgclf_lib.similar import components


def test_components_are_numbered_by_their_first_image():
    pairs = np.array([[1, 4], [4, 5], [0, 2]])
    assert components(6, pairs).tolist() == [0, 1, 0, 2, 1, 1]
    assert components(3, np.zeros((0, 2), "int64")).tolist() == [0, 1, 2]

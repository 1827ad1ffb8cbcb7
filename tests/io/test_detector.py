"""A radiograph lies as it is looked at: rows go down, columns go to the patient's left."""

import numpy as np

from medgen.io.detector import flat_detector


def test_a_step_along_each_axis() -> None:
    affine = flat_detector(0.2, 0.1).affine
    assert np.allclose(affine @ [1, 0, 0, 0], [0, 0, -0.2, 0])
    assert np.allclose(affine @ [0, 1, 0, 0], [-0.1, 0, 0, 0])


def test_depth_is_the_cross_product_of_dicom() -> None:
    lps = flat_detector().affine_lps[:3, :3]
    along_rows, down_columns = lps[:, 1], lps[:, 0]
    assert np.array_equal(np.cross(along_rows, down_columns), lps[:, 2])

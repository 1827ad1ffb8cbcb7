"""What a chest's labels leave open is read off the CT."""

import numpy as np
import pytest

from benchmarks.thorax import completed
from medgen.phantom.thorax_labels import BONES, DENSE, FAT, MUSCLE


@pytest.mark.parametrize(
    ("label", "hu", "expected"),
    [
        (0, -1000, 0),
        (0, -90, FAT),
        (0, 60, MUSCLE),
        (0, 700, BONES[-1] + DENSE),
        (6, -800, 0),
        (6, 40, 6),
        (10, -850, 10),
        (10, 30, 10 + DENSE),
        (95, 120, 95),
        (95, 800, 95 + DENSE),
        (51, 90, 51),
        (51, 350, 51 + DENSE),
        (5, 500, 5),
    ],
)
def test_dense_parts_are_told_apart(label: int, hu: float, expected: int) -> None:
    labels, image = np.full((7, 7, 7), label, np.int16), np.full((7, 7, 7), hu, np.float32)
    assert (completed(labels, image, (1.0, 1.0, 2.5)) == expected).all()

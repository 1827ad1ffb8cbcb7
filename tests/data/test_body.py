"""The body is the patient with every hole in it, and neither the table nor the air."""

import numpy as np
import pytest

from medgen.data.body import body_of, is_ct, rule_of
from medgen.errors import InputError
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind


def image(voxels: np.ndarray, word: str | None = "ct") -> MedicalImage:
    kind = Kind.parse(word) if word else None
    return MedicalImage(voxels.astype(np.float32), Geometry(np.eye(4)), kind)


@pytest.fixture
def chest() -> np.ndarray:
    """A box of water with a lung in it that is open at both ends, above a table."""
    hu = np.full((20, 20, 8), -1000.0)
    hu[4:16, 6:16] = 0.0
    hu[7:11, 8:12] = -800.0
    hu[2:18, 2] = 200.0
    return hu


def test_lungs_are_body_and_the_table_is_not(chest: np.ndarray) -> None:
    expected = np.zeros(chest.shape, bool)
    expected[4:16, 6:16] = True
    assert np.array_equal(body_of(image(chest)), expected)


def test_slices_are_axial_however_the_voxels_lie(chest: np.ndarray) -> None:
    turned = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    lying = MedicalImage(np.moveaxis(chest, 2, 0), Geometry(turned), Kind.parse("ct"))
    assert np.array_equal(np.moveaxis(body_of(lying), 0, 2), body_of(image(chest)))


@pytest.mark.parametrize("gain", [1.0, 1e-3, 1e5])
def test_an_mri_may_have_any_unit(gain: float) -> None:
    signal = np.zeros((24, 24, 24))
    signal[6:18, 6:18, 6:18] = 1.0
    signal[10:14, 10:14, 10:14] = 0.0
    body = body_of(image(signal * gain, "mri:t2"))
    assert body[6:18, 6:18, 6:18].all()
    assert body.sum() < 16**3


def test_a_ct_that_does_not_say_so_is_known_by_its_air(chest: np.ndarray) -> None:
    assert is_ct(image(chest, None))
    assert not is_ct(image(chest + 1000, None))
    assert not is_ct(image(chest, "mri"))


def test_the_rule_is_said_in_words(chest: np.ndarray) -> None:
    assert "-500 HU" in rule_of(image(chest))
    assert "8 %" in rule_of(image(chest, "mri"))


def test_a_volume_of_air_asks_for_a_mask() -> None:
    hu = np.full((4, 4, 4), -1000.0)
    hu[0, 0, 0] = -990.0
    with pytest.raises(InputError, match="give a mask"):
        body_of(image(hu))

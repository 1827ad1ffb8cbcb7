"""A row says what is true on paper, and is measured once."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cases import Case, Loaded, between_centres, onto
from benchmarks.data import CT, T1
from benchmarks.methods import Method, Prediction, constant, copy_of_source, mean_of_truth
from benchmarks.rows import Row, Store, measure
from benchmarks.sigma import coverages
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.metrics.calibration import Calibration

SHAPE = (10, 10, 10)


def toy(target: str = "ct") -> Case:
    """Half the body is water, half is bone of 1040 HU; the source is the truth, doubled."""
    truth = np.zeros(SHAPE, np.float32)
    truth[5:] = 1040
    truth[0, 0, :5] = 20  # so that an MRI's percentiles are not at its only two values
    source = MedicalImage(2 * truth, Geometry(np.eye(4)), T1)
    loaded = Loaded(source, truth, np.ones(SHAPE, bool), np.zeros(SHAPE, bool))
    return Case("toy", "p", T1, CT if target == "ct" else T1, lambda: loaded)


def only(method: Method, store: Store, target: str = "ct") -> Row:
    (row,) = measure([toy(target)], lambda _: [method], store)
    return row


def test_the_constant_is_wrong_by_its_distance_from_the_truth(tmp_path: Path) -> None:
    scores = only(constant(), Store(tmp_path)).scores
    soft = 40 - 20 * 5 / 500
    assert scores["mae_bone"] == pytest.approx(1000)
    assert scores["mae_soft"] == pytest.approx(soft)
    assert scores["mae"] == pytest.approx((1000 + soft) / 2)
    assert scores["dice_bone"] == 0
    assert scores["mae_edge_as_air"] == scores["mae"]


def test_a_doubled_mri_is_a_perfect_one(tmp_path: Path) -> None:
    assert only(copy_of_source(), Store(tmp_path), "mri").scores["psnr"] == np.inf


def test_a_constant_mri_is_as_wrong_as_the_truth_varies(tmp_path: Path) -> None:
    scores = only(mean_of_truth(), Store(tmp_path), "mri").scores
    variance = toy().load().truth.var() / 1040**2
    assert scores["psnr"] == pytest.approx(-10 * np.log10(variance), rel=1e-6)
    assert np.isnan(scores["ssim"])


def test_a_row_is_measured_once_and_again_for_another_key(tmp_path: Path) -> None:
    asked = []

    def predict(case: Loaded, target: object) -> Prediction:
        asked.append(target)
        return Prediction(case.truth + 1)

    store = Store(tmp_path)
    first = only(Method("m", "1", predict), store)
    again = only(Method("m", "1", predict), store)
    np.testing.assert_equal(asdict(again), asdict(first))
    assert len(asked) == 1
    only(Method("m", "2", predict), store)
    assert len(asked) == 2


def test_what_is_not_asked_for_stays_missing(tmp_path: Path) -> None:
    frozen = Store(tmp_path, measures=False)
    assert list(measure([toy()], lambda _: [constant()], frozen)) == []
    only(constant(), Store(tmp_path))
    assert len(list(measure([toy()], lambda _: [constant()], frozen))) == 1


def test_coverage_is_the_share_of_errors_within_two_sigma(tmp_path: Path) -> None:
    def predict(case: Loaded, target: object) -> Prediction:
        error = np.where(np.arange(10) < 7, 3.0, 9.0).astype(np.float32)  # along k
        return Prediction(case.truth + error, np.ones(SHAPE, np.float32))

    method, store = Method("diffuse", "1", predict), Store(tmp_path)
    only(method, store)
    (row,) = coverages([toy()], method, Calibration(scale=2.0, floor=0.0), store)
    assert row.scores["coverage"] == 0.7  # sigma 2: 3 is within 4, and 9 is not
    assert row.scores["mae"] == pytest.approx(0.7 * 3 + 0.3 * 9)


def test_an_image_covers_half_a_voxel_beyond_its_centres() -> None:
    affine = np.eye(4)
    affine[2, 3] = -0.4  # the other's first slice lies 0.4 mm below
    image = MedicalImage(np.indices((4, 4, 4))[2].astype(np.float32), Geometry(np.eye(4)), CT)
    other = MedicalImage(np.indices((4, 4, 4))[2].astype(np.float32), Geometry(affine), CT)
    voxels, known = onto(image, other, -1.0)
    assert known.all()
    np.testing.assert_allclose(voxels[0, 0], [0, 0.6, 1.6, 2.6], atol=1e-6)
    assert between_centres(image, other)[0, 0].tolist() == [False, True, True, True]

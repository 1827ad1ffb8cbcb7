"""The probe finds what is linear in the pixels, and its ridge is the textbook's."""

import numpy as np
import torch

from benchmarks.probe import features, fitted, ridge, unit
from medgen.modality import Modality
from medgen.tasks.studies import ReadStudy

RANDOM = np.random.default_rng(0)


def test_the_dual_ridge_is_the_primal_one() -> None:
    x, y = RANDOM.normal(size=(12, 30)), RANDOM.normal(size=(12, 4))
    primal = np.linalg.solve(x.T @ x + 3 * np.eye(30), x.T @ y)
    assert np.allclose(ridge(x, y, 3.0), primal)


def test_a_linear_truth_is_found() -> None:
    x = RANDOM.normal(size=(300, 10))
    truth = RANDOM.normal(size=(10, 3))
    assert np.allclose(fitted(x, x @ truth), truth, atol=0.05)


def test_features_are_means_of_the_image_and_a_constant() -> None:
    ramp = torch.linspace(-1, 1, 56)[:, None, None].expand(56, 56, 56)
    study = ReadStudy("s", "text", {Modality.CT: [ramp.expand(3, -1, -1, -1)]}, 0)
    (row,) = features([study], Modality.CT)
    assert row.shape == (3 * 4**3 + 1,)
    assert row[-1] == 1
    assert np.allclose(np.unique(row[:64].round(4)), [-0.7636, -0.2545, 0.2545, 0.7636], atol=1e-3)


def test_unit_rows_have_length_one_and_zeros_stay() -> None:
    assert np.allclose(np.linalg.norm(unit(RANDOM.normal(size=(5, 3))), axis=1), 1)
    assert not unit(np.zeros((1, 3))).any()

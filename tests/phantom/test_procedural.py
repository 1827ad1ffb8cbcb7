"""The head of formulas is one closed, plausible head, the same for the same generator."""

import time

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator

from medgen.phantom.procedural import procedural_head, whole_head
from medgen.phantom.tissue import FIRST_OF_THORAX, Tissue

SPACING = 2.0


@pytest.fixture(scope="module", params=[0, 1, 2])
def head(request: pytest.FixtureRequest) -> np.ndarray:
    anatomy = procedural_head(Generator().manual_seed(request.param), spacing=SPACING)
    return anatomy.tissue.numpy()


def millilitres(head: np.ndarray, *tissues: Tissue) -> float:
    return float(np.isin(head, tissues).sum()) * SPACING**3 / 1000


def test_same_generator_same_head() -> None:
    heads = [procedural_head(Generator().manual_seed(s), spacing=4.0) for s in (3, 3, 4)]
    assert torch.equal(heads[0].tissue, heads[1].tissue)
    assert not torch.equal(heads[0].tissue, heads[2].tissue)


def test_the_head_has_an_adults_size(head: np.ndarray) -> None:
    """ANSUR II: breadth 133 to 180 mm and length 170 to 225 mm hold every adult measured."""
    above = head[:, :, int(0.75 * head.shape[2]) :] > 0
    breadth = above.any((1, 2)).sum() * SPACING
    length = above.any((0, 2)).sum() * SPACING
    assert 133 < breadth < 180
    assert 170 < length < 225


def test_volumes_are_those_of_people(head: np.ndarray) -> None:
    """Intracranial volume is 1.1 to 1.9 l, two eyes are about 14 ml."""
    brain = millilitres(head, Tissue.GREY_MATTER, Tissue.WHITE_MATTER)
    inside = brain + millilitres(head, Tissue.CSF)
    assert 1000 < inside < 1900
    assert 0.6 < brain / inside < 0.92
    grey = millilitres(head, Tissue.GREY_MATTER)
    assert 0.4 < grey / brain < 0.65
    assert 9 < millilitres(head, Tissue.EYE) < 20
    assert 15 < millilitres(head, Tissue.MUCOSA) < 80


def test_every_part_is_there(head: np.ndarray) -> None:
    absent = set(list(Tissue)[:FIRST_OF_THORAX]) - {Tissue(int(value)) for value in np.unique(head)}
    assert absent <= {Tissue.CALCIFICATION}


def test_the_grid_holds_the_whole_head(head: np.ndarray) -> None:
    """Air at the sides, the front, the back and above; the neck goes on below."""
    assert head.shape == whole_head(SPACING)
    for face in (head[0], head[-1], head[:, 0], head[:, -1], head[:, :, -1]):
        assert not face.any()
    assert head[:, :, 0].any()


def test_the_head_is_one_piece(head: np.ndarray) -> None:
    labels, pieces = ndimage.label(head > 0)
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() > 0.999 * sizes.sum(), pieces


def test_the_skull_is_closed_above(head: np.ndarray) -> None:
    """Straight up from every voxel of the upper brain there is bone."""
    brain = np.isin(head, (Tissue.GREY_MATTER, Tissue.WHITE_MATTER))
    upper = brain[:, :, int(0.72 * head.shape[2]) :].any(2)
    bone = np.isin(head, (Tissue.CORTICAL_BONE, Tissue.MARROW))
    bone = bone[:, :, int(0.72 * head.shape[2]) :].any(2)
    assert (bone | ~upper).all()


def test_no_brain_touches_air_or_skin(head: np.ndarray) -> None:
    brain = np.isin(head, (Tissue.GREY_MATTER, Tissue.CSF))
    grown = ndimage.binary_dilation(brain)
    upper = slice(int(0.62 * head.shape[2]), None)
    assert not (grown & (head == Tissue.AIR))[:, :, upper].any()
    assert not (grown & (head == Tissue.SCALP))[:, :, upper].any()


def test_there_is_air_inside(head: np.ndarray) -> None:
    """Sinuses, nose and airway: air that the skin surrounds."""
    inside = ndimage.binary_closing(head > 0, iterations=6) & (head == Tissue.AIR)
    assert inside.sum() * SPACING**3 / 1000 > 25


def test_half_a_second_for_96_voxels_cubed() -> None:
    took = []
    for seed in range(3):
        start = time.process_time()
        procedural_head(Generator().manual_seed(seed), spacing=2.7, shape=(96, 96, 96))
        took.append(time.process_time() - start)
        if took[-1] < 0.5:
            return
    pytest.fail(f"{took}")

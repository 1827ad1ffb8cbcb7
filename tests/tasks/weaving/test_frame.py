"""What a flow sees of a scan comes back to where it was, in the scan's own unit."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.modality import Kind, Modality
from medgen.tasks.generating.generator import Generator, load_flows
from medgen.tasks.given import Given
from medgen.tasks.weaving.files import read_scan
from medgen.tasks.weaving.frame import frame_of
from tests.tasks.weave_toy import ct, dim_radiograph


@pytest.fixture
def xray(corner_flows: SimpleNamespace) -> Generator:
    return load_flows(str(corner_flows.model), (Modality.XRAY,), "cpu")


def test_a_difference_of_a_radiograph_comes_back(xray: Generator, tmp_path: Path) -> None:
    """One of the whole range is one of the window, where the radiograph is and not beside it."""
    image = files.read(dim_radiograph(tmp_path / "a.png", (64, 48)))
    frame = frame_of(image, Modality.XRAY, xray)
    assert frame.seen.shape == (1, 1, 32, 32)
    back = frame.back(torch.full_like(frame.seen, 2.0))
    np.testing.assert_allclose(back, frame.window.high - frame.window.low, rtol=1e-5)


def test_the_scale_is_that_of_what_the_flow_sees(xray: Generator, tmp_path: Path) -> None:
    """A side of 32 pixels of a radiograph of 64 x 48, each 0.5 mm, are 1 mm each."""
    unknown = files.read(dim_radiograph(tmp_path / "a.png", (64, 48)))
    assert frame_of(unknown, Modality.XRAY, xray).scale is None
    known = replace(unknown, geometry=Geometry(np.diag([0.5, 0.5, 1, 1])), spacing_is_known=True)
    assert frame_of(known, Modality.XRAY, xray).scale == pytest.approx(1.0)


def test_a_region_is_seen_where_it_is(xray: Generator, tmp_path: Path) -> None:
    image = files.read(dim_radiograph(tmp_path / "a.png", (64, 48)))
    frame = frame_of(image, Modality.XRAY, xray)
    region = np.zeros((64, 48), bool)
    region[16:32, 8:24] = True
    seen = frame.region(region)[0, 0]
    assert seen[10:14, 10:14].min() == pytest.approx(1.0)  # 4 columns are beside the radiograph
    back = frame.back(2 * seen[None, None]) / (frame.window.high - frame.window.low)
    assert back[region].mean() > 0.85
    far = np.ones_like(region)
    far[12:36, 4:28] = False
    assert np.abs(back[far]).max() < 1e-5


@pytest.mark.slow
def test_a_volume_is_seen_around_a_region_beside_its_middle(
    world: SimpleNamespace, volumes: SimpleNamespace, tmp_path: Path
) -> None:
    loaded = load_flows(str(world.flows), (Modality.CT,), "cpu")
    voxels = np.full((60, 20, 20), -1000, np.int16)
    voxels[5:55, 3:17, 3:17] = 40
    path = volumes.save(voxels, tmp_path / "long.nii.gz", np.diag([4.0, 4, 4, 1]))
    image = read_scan(Given(path, Kind.parse("ct")))
    region = np.zeros(voxels.shape, bool)
    region[56:59, 8:12, 8:12] = True
    usual, moved = (frame_of(image, Modality.CT, loaded, one) for one in (None, region))
    assert usual.region(region).sum() < 0.5 * moved.region(region).sum()
    one = frame_of(image, Modality.CT, loaded, ~np.zeros(voxels.shape, bool)).grid
    assert one is not None
    assert one.shape == (16, 16, 16)


@pytest.mark.slow
def test_a_difference_of_a_ct_is_in_hu(
    world: SimpleNamespace, volumes: SimpleNamespace, tmp_path: Path
) -> None:
    loaded = load_flows(str(world.flows), (Modality.CT,), "cpu")
    image = read_scan(Given(ct(tmp_path / "a.nii.gz", volumes.head), Kind.parse("ct")))
    frame = frame_of(image, Modality.CT, loaded)
    back = frame.back(torch.full_like(frame.seen, 0.1))
    assert back[15, 14, 13] == pytest.approx(0.1 * 4095 / 2, rel=1e-4)

"""A sheet shows what was given beside what was made, and marks the second one alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medgen.errors import OutputError
from medgen.io.before_after import LINE, MARGIN, RED, SIDE, write_before_after
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.preview import panel, planes
from medgen.io.provenance import Provenance
from medgen.modality import Kind

MADE = Provenance("generate", "tiny", "0" * 64)
TOP = MARGIN + 2 * LINE


def radiograph(seed: int) -> MedicalImage:
    grey = np.random.default_rng(seed).integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)
    return MedicalImage(grey, flat_detector(), Kind.parse("xray"), spacing_is_known=False)


def drawn(before: MedicalImage, after: MedicalImage, path: Path, words: list[str]) -> np.ndarray:
    titles = ("Before", "After")
    write_before_after(before, after, path, titles=titles, words=words, provenance=MADE)
    return np.asarray(Image.open(path))


def squares(sheet: np.ndarray) -> list[np.ndarray]:
    rows = slice(TOP, TOP + SIDE)
    return [sheet[rows, left : left + SIDE, 0] for left in (MARGIN, 2 * MARGIN + SIDE)]


def test_both_are_whole_and_in_their_order(tmp_path: Path) -> None:
    one, other = radiograph(0), radiograph(1)
    there = squares(drawn(one, other, tmp_path / "a.png", ["Words."]))
    back = squares(drawn(other, one, tmp_path / "b.png", ["Words."]))
    assert np.array_equal(there[0], back[1])
    assert np.array_equal(there[1], back[0])
    assert np.corrcoef(there[0].ravel(), one.voxels.ravel())[0, 1] > 0.999


def test_only_what_was_made_is_marked(tmp_path: Path) -> None:
    sheet = drawn(radiograph(0), radiograph(1), tmp_path / "a.png", [])
    _, columns = np.nonzero((sheet == RED).all(-1))
    assert columns.min() == 2 * MARGIN + SIDE
    notes = Image.open(tmp_path / "a.png").text
    assert notes["Synthetic"] == "yes"
    assert notes["Description"].startswith("SYNTHETIC")


def test_long_words_make_it_longer_and_never_wider(tmp_path: Path) -> None:
    one, other = radiograph(0), radiograph(1)
    short = drawn(one, other, tmp_path / "a.png", ["word"])
    long = drawn(one, other, tmp_path / "b.png", ["word " * 60])
    assert long.shape[1] == short.shape[1]
    lines = (long.shape[0] - short.shape[0]) // LINE
    assert lines == 3  # of 868 pixels; a word and its space have about 47
    assert (long[:, -MARGIN:] == 255).all()


def test_a_volume_is_seen_from_the_front(tmp_path: Path) -> None:
    voxels = np.zeros((8, 8, 8), np.float32)
    voxels[:4, :, 4:] = 100  # the patient's right, above
    scan = MedicalImage(voxels, Geometry(np.diag([-1.0, 1, 1, 1])), Kind.parse("mri:t1"))
    square = squares(drawn(scan, radiograph(1), tmp_path / "a.png", []))[0]
    (_, (plane, pixel_mm), _) = planes(voxels / 100, scan.geometry)
    assert np.array_equal(square, panel(plane, pixel_mm, SIDE))
    assert square[SIDE // 4, SIDE // 4] == 255
    assert square[SIDE // 4, 3 * SIDE // 4] == 0


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    one = radiograph(0)
    drawn(one, one, tmp_path / "a.png", [])
    with pytest.raises(OutputError, match="exists"):
        drawn(one, one, tmp_path / "a.png", [])

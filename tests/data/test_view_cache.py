"""A cached view is the view; a changed image, another grid and a damaged file are read anew."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medgen.data import view_cache
from medgen.data.standard import StandardConfig
from medgen.data.view_cache import cached_mask, cached_view
from medgen.errors import InputError
from medgen.modality import Modality

SMALL = StandardConfig(side=16)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "x.png"
    grey = np.random.default_rng(0).integers(0, 255, (40, 30)).astype(np.uint8)
    Image.fromarray(grey).save(path)
    return path


def view(picture: Path, config: StandardConfig = SMALL) -> np.ndarray:
    return cached_view(picture, Modality.XRAY, config, picture.parent / "cache")


def kept(picture: Path) -> list[Path]:
    return sorted((picture.parent / "cache").iterdir())


def test_the_second_time_no_image_is_read(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = view(picture)
    assert np.array_equal(first, cached_view(picture, Modality.XRAY, SMALL))
    monkeypatch.setattr(view_cache, "standard_view", None)
    assert np.array_equal(view(picture), first)
    assert len(kept(picture)) == 1


def test_a_changed_image_is_read_anew(picture: Path) -> None:
    first = view(picture)
    grey = np.random.default_rng(1).integers(0, 255, (40, 30)).astype(np.uint8)
    Image.fromarray(grey).save(picture)
    os.utime(picture, ns=(1, 1))
    assert not np.array_equal(view(picture), first)


def test_another_grid_is_another_view(picture: Path) -> None:
    assert view(picture).shape == (1, 16, 16)
    assert view(picture, replace(SMALL, side=32)).shape == (1, 32, 32)
    assert len(kept(picture)) == 2


HEADER = b"\x93NUMPY\x01\x00v\x00{'descr': '<f2', 'fortran_order': False, 'shape': (1, 16 16), }"


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"not an array", HEADER + b" " * 40])
def test_a_damaged_file_is_replaced(picture: Path, damage: bytes) -> None:
    first = view(picture)
    (path,) = kept(picture)
    path.write_bytes(damage)
    assert np.array_equal(view(picture), first)
    assert np.array_equal(np.load(path), first)


def test_an_image_that_cannot_be_read_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(InputError):
        view(tmp_path / "x.png")
    assert not (tmp_path / "cache").exists() or not kept(tmp_path / "x.png")


def test_a_mask_that_marks_nothing_is_a_mask(picture: Path) -> None:
    empty = picture.with_name("mask.png")
    Image.fromarray(np.zeros((40, 30), np.uint8)).save(empty)
    assert not cached_mask(empty, picture, Modality.XRAY, SMALL).any()


def test_a_link_that_leads_nowhere_is_no_part_of_an_image(picture: Path) -> None:
    folder = picture.parent / "folder"
    folder.mkdir()
    picture.rename(folder / "x.png")
    (folder / "gone.png").symlink_to(folder / "nowhere")
    assert len(view_cache._stats([folder])) == 1

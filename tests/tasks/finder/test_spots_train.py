"""Spots learn from crops about findings, and a finder then listens to them."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from medgen.config import from_mapping
from medgen.encoders.spots import Spots
from medgen.errors import UsageError
from medgen.modality import Kind
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.items import FinderImage
from medgen.tasks.finder.model import load_finder
from medgen.tasks.finder.spots_items import ABOUT, CELLS, SpotItems, spots_loss
from medgen.tasks.finder.spots_train import SpotsTrainConfig, train_spots
from medgen.tasks.finder.train import train_finder
from medgen.tasks.fitting.fit import MODEL

DEVICE = torch.device("cpu")


def volume_with_a_cube() -> FinderImage:
    """Air with one bright cube, a nodule."""
    volume, mask = torch.full((1, 60, 60, 60), -1.0), torch.zeros(30, 30, 30)
    volume[:, 8:12, 40:44, 20:24] = 1.0
    mask[4:6, 20:22, 10:12] = 1.0
    return FinderImage(Kind.parse("ct"), volume, {"nodule": mask, "mass": mask * 0})


def test_masks_lie_on_the_voxels_of_their_crop() -> None:
    items = SpotItems([volume_with_a_cube()], ["nodule"], 0)
    crops = [items(number) for number in range(200)]
    for crop in crops:
        assert crop.volume.shape == (1, *[2 * CELLS] * 3)
        assert torch.equal(crop.there, (torch.nn.functional.max_pool3d(crop.volume, 2) > 0).float())
    share = sum(bool(crop.there.any()) for crop in crops) / len(crops)
    assert ABOUT - 0.1 < share < ABOUT + 0.15  # some of the others hold it by chance
    places = {tuple(crop.there[0].nonzero()[0].tolist()) for crop in crops if crop.there.any()}
    assert len(places) > 50  # not always in the middle, and mirrored
    again = items(7)
    assert torch.equal(again.volume, crops[7].volume)


def test_a_rare_finding_is_as_likely_as_others() -> None:
    common, rare = volume_with_a_cube(), volume_with_a_cube()
    assert common.masks is not None
    rare = replace(rare, masks={"mass": common.masks["nodule"]})
    items = SpotItems([*[common] * 30, rare], ["nodule", "mass"], 0)
    seen = torch.stack([items(number).there.flatten(1).any(1) for number in range(300)])
    shares = seen.float().mean(0).tolist()
    assert shares == pytest.approx([ABOUT / 2, ABOUT / 2], abs=0.12)


def test_a_volume_smaller_than_a_crop_is_one() -> None:
    image = FinderImage(
        Kind.parse("ct"), torch.zeros(1, 16, 16, 16), {"nodule": torch.ones(8, 8, 8)}
    )
    crop = SpotItems([image], ["nodule"], 0)(1)
    assert crop.volume.shape == (1, 16, 16, 16)
    assert crop.there.shape == (1, 8, 8, 8)


def test_spots_learn_what_is_small() -> None:
    image = volume_with_a_cube()
    items = SpotItems([image], ["nodule"], 0)
    torch.manual_seed(0)
    spots = Spots(1, 1, 8)
    optimizer = torch.optim.AdamW(spots.parameters(), 3e-3)
    for step in range(60):
        optimizer.zero_grad()
        batch = [items(8 * step + number) for number in range(8)]
        spots_loss(torch.nn.ModuleDict({"ct": spots}), batch)["total"].backward()
        optimizer.step()
    odds = spots(image.view[None])[0, 0].detach()
    assert image.masks is not None
    there = image.masks["nodule"] > 0
    assert odds[there].min() > 0 > odds[~there].quantile(0.99)


def write_deep(folder: Path) -> Path:
    """Four CTs of noise, two with a bright speck and its mask; their manifest."""
    generator, rows = np.random.default_rng(1), []
    affine = np.diag([-4.0, -4, 4, 1])
    for number in range(4):
        own = folder / str(number)
        (own / "masks").mkdir(parents=True)
        voxels = generator.integers(-900, 100, (32, 32, 32)).astype(np.int16)
        speck = np.zeros((32, 32, 32), np.uint8)
        if number % 2:
            speck[20:23, 12:15, 16:19] = 1
            nib.save(nib.Nifti1Image(speck, affine), own / "masks" / "nodule.nii.gz")
        voxels[speck > 0] = 1000
        nib.save(nib.Nifti1Image(voxels, affine), own / "ct.nii.gz")
        (own / "report.txt").write_text("Left lung nodule." if number % 2 else "Normal.")
        row = {"id": f"s{number}", "patient": f"p{number}", "masks": f"{number}/masks"}
        rows.append(row | {"ct": f"{number}/ct.nii.gz", "text": f"{number}/report.txt"})
    path = folder / "deep.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def finder_config(**more: Any) -> FinderTrainConfig:
    shape = {"kinds": ["ct"]} | ({} if "init" in more else {"widths": [8, 8], "width": 16})
    fit = {"steps": 2, "batch": 4, "learning_rate": 0.01, "warmup": 1}
    standard = {"shape": [16, 16, 16], "spacings": [8.0]}
    wanted = {"finder": shape, "fit": fit, "standard": standard}
    return from_mapping(FinderTrainConfig, wanted | more)


def spots_config(init: Path, *spots: str) -> SpotsTrainConfig:
    fit = {"steps": 2, "batch": 4, "learning_rate": 0.1, "warmup": 1}
    wanted = {"init": str(init), "spots": list(spots), "spot_width": 4, "fit": fit}
    return from_mapping(SpotsTrainConfig, wanted)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Studies, a finder that reads their CTs, and the same with spots."""
    folder = tmp_path_factory.mktemp("deep")
    manifest = write_deep(folder)
    for _ in train_finder(finder_config(), folder / "plain", manifest=manifest):
        pass
    plain = folder / "plain" / MODEL
    for _ in train_spots(spots_config(plain, "nodule"), folder / "spots", manifest=manifest):
        pass
    return SimpleNamespace(manifest=manifest, plain=plain, spots=folder / "spots" / MODEL)


def test_spots_change_nothing_else(deep: SimpleNamespace, tmp_path: Path) -> None:
    plain, spotting = (load_finder(one, DEVICE) for one in (deep.plain, deep.spots))
    was, now = plain.finder.state_dict(), spotting.finder.state_dict()
    assert all(torch.equal(now[name], was[name]) for name in was)
    shape = replace(plain.finder.config, spots=("nodule",), spot_width=4)
    assert spotting.finder.config == shape
    assert spotting.calibration.foreign == plain.calibration.foreign
    assert spotting.calibration != plain.calibration
    config = finder_config(init=str(deep.spots), freeze=["query"])
    for _ in train_finder(config, tmp_path / "on", manifest=deep.manifest):
        pass  # a finder goes on with its spots, and they stay
    last = load_finder(tmp_path / "on" / MODEL, DEVICE).finder
    assert last.config == shape
    spots = [name for name in now if "spots" in name]
    assert len(spots) == 8
    assert all(torch.equal(last.state_dict()[name], now[name]) for name in spots)


def test_spots_that_make_no_sense_are_refused(deep: SimpleNamespace, tmp_path: Path) -> None:
    def refused(config: SpotsTrainConfig) -> str:
        with pytest.raises(UsageError) as caught:
            next(iter(train_spots(config, tmp_path / "no", manifest=deep.manifest)))
        return str(caught.value)

    wanted = "nobody drew mass in a volume; drawn: nodule"
    assert wanted in refused(spots_config(deep.plain, "nodule", "mass"))
    assert "name findings with masks" in refused(spots_config(deep.plain))
    assert "this finder looks for nodule" in refused(spots_config(deep.spots, "mass"))
    assert "spots have 4" in refused(replace(spots_config(deep.spots), spot_width=8))
    for own in ({"spots": ["nodule"]}, {"spot_width": 8}):
        config = finder_config(finder={"kinds": ["ct"], **own})
        with pytest.raises(UsageError, match="report:spots teaches them"):
            next(iter(train_finder(config, tmp_path / "no", manifest=deep.manifest)))

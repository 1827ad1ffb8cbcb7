"""Features that are kept say what the encoder would, and teach its reader alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medgen.align.augment import AugmentConfig
from medgen.align.central import Given
from medgen.data.standard import StandardConfig
from medgen.encoders.image import ImageEncoderConfig
from medgen.encoders.text import TextEncoderConfig
from medgen.errors import UsageError
from medgen.modality import Modality
from medgen.tasks.align import align
from medgen.tasks.aligning.cells import CellItems, cells_of
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.aligning.model import EncodersConfig, load_aligner, new_aligner
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.studies import ReadStudy
from tests.tasks.align_toy import write_corners

XRAY = Modality.XRAY
IMAGE = ImageEncoderConfig(2, 1, (8, 16), width=16, layers=1, heads=2, embedding=16)
ENCODERS = EncodersConfig(
    text=TextEncoderConfig(max_tokens=48, width=16, layers=1, heads=2, embedding=16),
    xray=IMAGE,
    ct=replace(IMAGE, spatial_dims=3, in_channels=4),
    mri=replace(IMAGE, spatial_dims=3, in_channels=2),
)
CONFIG = AlignConfig(
    vocabulary=300,
    train=("text", "xray"),
    cells=2,
    standard=StandardConfig(side=16, shape=(8, 8, 8), spacings=(8.0,)),
    encoders=ENCODERS,
    fit=FitConfig(steps=250, batch=8, learning_rate=3e-3, warmup=5, ema_decay=0.9),
)


def studies(count: int) -> list[ReadStudy]:
    generator = torch.Generator().manual_seed(0)
    return [
        ReadStudy(f"s{at}", "text", {XRAY: [torch.rand(1, 16, 16, generator=generator)]}, at)
        for at in range(count)
    ]


def test_the_first_view_is_the_image_as_the_encoder_sees_it() -> None:
    torch.manual_seed(0)
    aligner, some = new_aligner(ENCODERS), studies(11)
    cells = cells_of(aligner, some, (XRAY,), 3, AugmentConfig(), 0)
    assert {tuple(each[XRAY].shape) for each in cells} == {(3, 16, 4, 4)}
    present = torch.ones(11, dtype=torch.bool)
    images = torch.stack([study.images[XRAY][0] for study in some])
    kept = torch.stack([each[XRAY][0] for each in cells]).float()
    with torch.no_grad():
        seen = aligner({XRAY: Given(images, present)})[XRAY].rows
        read = aligner.read({XRAY: Given(kept, present)})[XRAY].rows
    assert torch.allclose(seen, read, atol=2e-3)  # of a unit vector, in half precision
    again = cells_of(aligner, some, (XRAY,), 3, AugmentConfig(), 0)
    assert all(torch.equal(one[XRAY], other[XRAY]) for one, other in zip(cells, again, strict=True))
    assert not torch.equal(cells[0][XRAY][0], cells[0][XRAY][1])


def test_an_item_is_a_pure_function_of_its_number() -> None:
    some = studies(3)
    cells = cells_of(new_aligner(ENCODERS), some, (XRAY,), 2, AugmentConfig(), 0)
    deal = CellItems(some, cells, seed=1)
    one, other = deal(5), deal(5)
    assert one.group == other.group
    assert torch.equal(one.views[XRAY][0], other.views[XRAY][0])
    assert {deal(number).group for number in range(30)} == {0, 1, 2}


@pytest.mark.slow
def test_the_reader_learns_and_the_convolutions_stay(tmp_path: Path) -> None:
    manifest = write_corners(tmp_path)
    first = replace(CONFIG, cells=0, fit=replace(CONFIG.fit, steps=2))
    list(align(first, tmp_path / "first", manifest=manifest))
    config = replace(CONFIG, init=str(tmp_path / "first" / MODEL))
    *_, last = align(config, tmp_path / "cells", manifest=manifest)
    assert set(last.loss) == {"total", "text-xray", "invariant"}
    assert last.loss["text-xray"] < 0.4
    before, after = (
        load_aligner(tmp_path / run / MODEL, torch.device("cpu")).aligner.encoders[XRAY]
        for run in ("first", "cells")
    )
    for name, weights in before.state_dict().items():
        is_kept = torch.equal(weights, after.state_dict()[name])
        assert is_kept == name.startswith("levels."), name


def test_cells_and_patches_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="cells"):
        replace(CONFIG, patch=8)

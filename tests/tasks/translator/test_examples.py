"""An example is a function of its number; its truth lies where its source does."""

from collections import Counter
from dataclasses import fields, replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from medgen.diffusion.noise import generator_for
from medgen.errors import UsageError
from medgen.modality import Contrast
from medgen.phantom.anatomy import Anatomy
from medgen.phantom.protocol import Relaxation
from medgen.phantom.render import Body, MRIScan, embody
from medgen.phantom.tissue import Tissue
from medgen.tasks.translator import examples
from medgen.tasks.translator.examples import Example, ExampleConfig, Examples, Pair, turned
from medgen.tasks.translator.translator import CT, HU_PER_UNIT, TARGETS

CONFIG = ExampleConfig(patch=32)
SIZE = 72


def ball() -> Anatomy:
    """Brain, 6 mm of skull, 4 mm of scalp."""
    axis = torch.arange(SIZE) - (SIZE - 1) / 2
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    tissue = torch.full((SIZE,) * 3, int(Tissue.AIR), dtype=torch.uint8)
    tissue[radius < 34] = Tissue.SCALP
    tissue[radius < 30] = Tissue.CORTICAL_BONE
    tissue[radius < 24] = Tissue.GREY_MATTER
    return Anatomy("ball", tissue, (1.0, 1.0, 1.0))


def pair(contrast: Contrast | None = Contrast.T1) -> Pair:
    """A CT and an MRI that are the same ramp, so that where one is, the other shows."""
    ramp = torch.linspace(0, 1, 40)[:, None, None].expand(40, 44, 48)
    weight = torch.ones(40, 44, 48)
    weight[:, :, :8] = 0
    return Pair(ramp * 2000 - 1000, ramp.clone(), contrast, weight)


BALL = ball()


def made(seed: int = 0, pairs: list[Pair] | None = None, **settings: Any) -> Examples:
    return Examples([BALL], pairs or [], replace(CONFIG, **settings), seed)


@cache
def simulated(number: int) -> Example:
    """What several tests look at, and none changes."""
    return made()(number)


@cache
def to_ct(number: int) -> Example:
    return made(to_ct=1.0)(number)


def equal(one: Example, other: Example) -> bool:
    values = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(Example)]
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in values)


@pytest.mark.parametrize("pairs", [[], [pair()]])
def test_the_same_number_is_the_same_example(pairs: list[Pair]) -> None:
    for number in range(4):
        assert equal(made(pairs=pairs)(number), made(pairs=pairs)(number))


def test_other_numbers_and_other_seeds_are_other_examples() -> None:
    first, second = simulated(0), simulated(1)
    assert not torch.equal(first.noise, second.noise)
    assert not torch.equal(first.images, second.images)
    assert not torch.equal(first.noise, made(seed=1)(0).noise)


def test_every_example_is_whole() -> None:
    for number in range(30):
        item = made(pairs=[pair()])(number)
        assert item.images.shape == (4, 32, 32, 32)
        assert item.target.shape == item.weight.shape == (1, 32, 32, 32)
        assert item.noise.shape == (8, 16, 16, 16)
        assert item.images.abs().max() <= 1
        assert item.target.abs().max() <= 1
        assert 0 < item.time <= 1
        assert ((item.weight >= 0) & (item.weight < 1 + 1e-5)).all()
        assert item.present.sum() >= 1
        assert set(item.present.tolist()) <= {0.0, 1.0}


def test_absent_channels_are_exactly_zero() -> None:
    for number in range(30):
        item = simulated(number)
        assert not item.images[item.present == 0].any()
        assert all(image.any() for image in item.images[item.present == 1])


def test_bone_is_dark_on_the_mri_where_it_is_bright_on_the_truth() -> None:
    darker = []
    for number in range(40):
        item = to_ct(number)
        hu = (item.target[0] + 1) * HU_PER_UNIT - 1024
        known = item.weight[0] > 0
        bone, brain = (hu > 900) & known, (hu > 0) & (hu < 100) & known
        mri = item.images[1:][item.present[1:] == 1][0]
        if min(int(bone.sum()), int(brain.sum())) > 500:
            darker.append(bool(mri[bone].mean() < mri[brain].mean()))
    assert len(darker) > 15
    assert all(darker)


def test_air_is_dark_on_the_truth_where_the_ct_has_it() -> None:
    for number in range(15):
        item = made(to_ct=0.0, from_ct=1.0)(number)
        assert item.present.tolist() == [1, 0, 0, 0]
        hu = (item.images[0] + 1) * HU_PER_UNIT - 1024
        air = (hu < -850) & (item.weight[0] > 0)
        if air.sum() > 500:
            assert item.target[0][air].mean() < -0.85


def test_the_truth_has_no_noise() -> None:
    """Air is -1000 HU to the last bit, away from the head."""
    clean = 0
    for number in range(40):
        target = to_ct(number).target[0]
        if (target[:6, :6, :6] < -0.98).all():
            assert target[:6, :6, :6].std() < 1e-4
            clean += 1
    assert clean > 3


def test_the_truth_of_an_mri_has_no_bias_and_no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    scans = []

    def look(body: Any, scan: Any, **others: Any) -> Tensor:
        scans.append(scan)
        return torch.rand(body.tissue.shape)

    monkeypatch.setattr(examples, "render_mri", look)
    made(to_ct=0.0, from_ct=1.0)(0)
    assert [(scan.noise, scan.bias) for scan in scans] == [(0, 0)]


def test_sources_are_other_scans_than_the_textbooks_as_often_as_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scans(**settings: float) -> list[MRIScan]:
        seen: list[MRIScan] = []

        def look(body: Body, scan: MRIScan, **others: object) -> Tensor:
            seen.append(scan)
            return torch.rand(body.tissue.shape)

        monkeypatch.setattr(examples, "render_mri", look)
        for number in range(12):
            made(to_ct=1.0, **settings)(number)
        return seen

    textbook = scans(dim_fat=0.0, coarse=0.0, spill=0.0)
    assert sum(scan.protocol.fat_share == 1 for scan in textbook) > len(textbook) / 2
    assert all(0.5 <= scan.fwhm_mm <= 1.5 and scan.spill == 0 for scan in textbook)
    others = scans(dim_fat=1.0, coarse=1.0, spill=1.0)
    assert all(scan.protocol.fat_share < 1 for scan in others)
    assert any(0.2 < scan.protocol.fat_share < 0.5 for scan in others)
    assert all(1.5 <= scan.fwhm_mm <= 7 and 0 < scan.spill < 0.25 for scan in others)


def test_marrow_is_fatty_in_as_many_patients_as_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fatty(share: float) -> list[bool]:
        seen: list[bool] = []

        def look(body: Body, scan: MRIScan, *, tissue: Relaxation, generator: object) -> Tensor:
            seen.append(body.yellow is not None)
            return torch.rand(body.tissue.shape)

        monkeypatch.setattr(examples, "render_mri", look)
        for number in range(16):
            made(to_ct=1.0, yellow_marrow=share)(number)
        return seen

    assert not any(fatty(0.0))
    assert all(fatty(1.0))
    some = fatty(0.5)
    assert 0.2 < sum(some) / len(some) < 0.8


def test_limbs_are_turned_over_and_heads_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    axis = torch.arange(SIZE)
    low_behind = (axis[:, None] + axis < SIZE).expand(SIZE, SIZE, SIZE)

    def corners(outside: Tissue) -> set[tuple[bool, bool]]:
        """Whether muscle lies in front, and above, in each of some patients."""
        seen: list[Tensor] = []

        def look(tissue: Tensor, **others: Any) -> Body:
            seen.append(tissue)
            return embody(tissue, **others)

        monkeypatch.setattr(examples, "embody", look)
        tissue = torch.full((SIZE,) * 3, int(outside), dtype=torch.uint8)
        tissue[low_behind] = Tissue.MUSCLE
        some = Examples([Anatomy("half", tissue, (1.0, 1.0, 1.0))], [], replace(CONFIG, fatty=0), 0)
        for number in range(24):
            some(number)
        places = [(one == Tissue.MUSCLE).nonzero().float().mean(0) for one in seen]
        halves = [torch.tensor(one.shape) / 2 for one in seen]
        return {
            (bool(at[1] > half[1]), bool(at[2] > half[2]))
            for at, half in zip(places, halves, strict=True)
            if at.isfinite().all() and (at - half)[1:].abs().min() > 2
        }

    assert corners(Tissue.SCALP) == {(False, False)}
    assert len(corners(Tissue.SKIN)) == 4


def test_fat_takes_the_place_of_muscle_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    muscles = BALL.tissue.where(BALL.tissue != Tissue.GREY_MATTER, int(Tissue.MUSCLE))
    limb = replace(BALL, tissue=muscles)

    def bodies(share: float) -> list[Tensor]:
        seen: list[Tensor] = []

        def look(tissue: Tensor, **others: Any) -> Body:
            seen.append(tissue)
            return embody(tissue, **others)

        monkeypatch.setattr(examples, "embody", look)
        made_of_limbs = Examples([limb], [], replace(CONFIG, fatty=share), 0)
        for number in range(8):
            made_of_limbs(number)
        return seen

    lean, fat = torch.stack(bodies(0.0)), torch.stack(bodies(1.0))
    changed = lean != fat
    assert (lean[changed] == Tissue.MUSCLE).all()
    assert (fat[changed] == Tissue.FAT).all()
    muscle = (lean == Tissue.MUSCLE).flatten(1).sum(1)
    assert muscle.min() > 0
    share = changed.flatten(1).sum(1) / muscle
    assert share.min() < 0.3
    assert share.max() > 0.7


def test_beyond_a_cut_nothing_is_given_and_nothing_counts() -> None:
    cuts = 0
    for number in range(60):
        item = simulated(number)
        gone = item.weight[0] == 0
        if gone.any():
            cuts += 1
            assert (item.images[item.present == 1][:, gone] == -1).all()
            assert 0.09 < gone.float().mean() < 0.9
    assert 9 <= cuts <= 27  # three tenths of 60


def test_the_target_is_never_among_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    known = []
    real = examples.random_protocol

    def look(contrast: Contrast | None, generator: Any) -> Any:
        known.append(contrast)
        return real(contrast, generator)

    monkeypatch.setattr(examples, "random_protocol", look)
    for number in range(25):
        known.clear()
        item = made(to_ct=0.0, from_ct=0.0)(number)
        assert item.kind != CT
        assert item.kind.contrast not in known
        assert len(known) == item.present[1:].sum()


def test_kinds_and_times_come_as_often_as_the_config_says() -> None:
    counts = Counter(
        examples._random_target(CONFIG, generator_for(0, number)) for number in range(4000)
    )
    assert counts[CT] / 4000 == pytest.approx(CONFIG.to_ct, abs=0.03)
    for kind in TARGETS[1:]:
        assert counts[kind] / 4000 == pytest.approx((1 - CONFIG.to_ct) / 4, abs=0.02)
    times = [made(patch=8, pairs=[pair()], real=1.0)(number).time for number in range(150)]
    assert sum(time == 1 for time in times) / 150 == pytest.approx(CONFIG.regression, abs=0.11)


def test_pairs_are_turned_together() -> None:
    """CT and MRI are the same ramp before, so they are after, whatever the deformation."""
    ct, mri, weight = turned(pair(), 24, generator_for(0, 3))
    inside = weight > 0
    assert inside.any()
    assert ((ct + 1000) / 2000 - mri)[inside].abs().max() < 1e-4


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pairs_are_mirrored_along_every_axis_half_the_time(axis: int) -> None:
    ramp = torch.linspace(0, 1, 40).expand(40, 40, 40).movedim(2, axis)
    rising = Pair(ramp * 2000 - 1000, ramp, None, torch.ones(40, 40, 40))
    up = 0
    for number in range(24):
        _, mri, _ = turned(rising, 16, generator_for(0, number))
        low, high = mri.movedim(axis, 0)[4], mri.movedim(axis, 0)[-5]
        up += int(high.mean() > low.mean())
    assert 5 <= up <= 19


def test_a_pair_counts_only_where_both_are_known() -> None:
    for number in range(6):
        ct, _, weight = turned(pair(), 40, generator_for(1, number))
        assert ct.min() >= -1024
        assert (weight[(ct < -1010)] == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.8, 1.0])
def test_real_examples_go_as_often_to_ct_as_they_shall(share: float) -> None:
    kinds = Counter(
        str(made(pairs=[pair()], real=1.0, to_ct=share, patch=8)(n).kind) for n in range(80)
    )
    assert set(kinds) <= {"ct", "mri:t1"}
    assert kinds["ct"] / 80 == pytest.approx(share, abs=0.13 if 0 < share < 1 else 0)


@pytest.mark.parametrize(
    "more",
    [{"patch": 17}, {"patch": 0}, {"real": 1.2}, {"coarse": -0.1}],
    ids=str,
)
def test_settings_that_make_no_sense(more: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ExampleConfig(**more)


def test_only_simulated_patients_are_aligned() -> None:
    assert not made(pairs=[pair()], real=1.0, patch=8)(0).is_aligned
    assert made(pairs=[pair()], real=0.0, patch=8)(0).is_aligned


def test_an_mri_of_unknown_contrast_is_never_a_target() -> None:
    kinds = {made(pairs=[pair(None)], real=1.0, patch=8)(n).kind for n in range(40)}
    assert kinds == {CT}


def test_real_pairs_alone_are_enough() -> None:
    assert Examples([], [pair()], CONFIG, 0)(0).images.shape == (4, 32, 32, 32)

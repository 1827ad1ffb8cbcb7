"""A translation lies on the source's grid, and no patch of it can be told from its neighbours."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch

from medgen.data.intensity import HOUNSFIELD, mri_window
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import AIR_HU, Kind
from medgen.tasks.device import emulates_bf16
from medgen.tasks.translator import translation
from medgen.tasks.translator.model import load_translator
from medgen.tasks.translator.translation import (
    EngineConfig,
    Voxels,
    patch_size,
    translate_images,
)
from medgen.tasks.translator.translator import CT, Translator, TranslatorConfig

SAMPLES = Path(__file__).parents[3] / "sample_data"
MRI, T2 = Kind.parse("mri"), Kind.parse("mri:t2")
TURNS = [
    np.array([[s * (a == p) for a in range(3)] for s, p in zip(signs, order, strict=True)])
    for order in permutations(range(3))
    for signs in product((1.0, -1.0), repeat=3)
]


class Stub(Translator):
    """A translator whose answer is a formula of what it hears; counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(TranslatorConfig(widths=(8, 8)))
        self.asked = 0

    def forward(self, noisy, time, source, conditions):  # type: ignore[no-untyped-def]
        self.asked += 1
        return self.formula(noisy, source)


class Copy(Stub):
    """Answers with the image in the first MRI slot, as if it were a CT."""

    def formula(self, noisy: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return self.ct_codec.encode(self.mri_codec.decode(source[:, 8:16]))


class Constant(Stub):
    """Answers 40 HU everywhere."""

    def formula(self, noisy: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        level = float(HOUNSFIELD.normalise(np.array([40.0]))[0])
        image = torch.full([1, 1, *(2 * size for size in noisy.shape[2:])], level)
        return self.ct_codec.encode(image)


class Quarrel(Stub):
    """Answers something else in every patch: 0, 100, 0, 100 … HU."""

    def formula(self, noisy: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        level = float(HOUNSFIELD.normalise(np.array([100.0 * (self.asked % 2)]))[0])
        image = torch.full([1, 1, *(2 * size for size in noisy.shape[2:])], level)
        return self.ct_codec.encode(image)


class Echo(Stub):
    """A pointwise denoiser: a share of the noise, whatever the source."""

    def formula(self, noisy: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return 0.2 * noisy


def affine_of(matrix: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, (12.0, -7.0, 40.0)
    return affine


def rotation(angle: float, axis: tuple[float, float, float]) -> np.ndarray:
    x, y, z = angle * np.array(axis) / np.linalg.norm(axis)
    turn = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(turn).numpy()


def waves(
    affine: np.ndarray, shape: tuple[int, int, int] = (20, 22, 24), *, length: float = 40.0
) -> MedicalImage:
    """A smooth MRI, defined in world coordinates, without any air."""
    index = np.stack([*np.meshgrid(*map(np.arange, shape), indexing="ij"), np.ones(shape)])
    x, y, z = np.tensordot(affine, index, 1)[:3] / length
    voxels = 600 + 120 * np.sin(x + 0.4) + 90 * np.cos(1.3 * y) + 100 * np.sin(z - 0.3 * x)
    return MedicalImage(voxels.astype(np.float32), Geometry(affine), MRI)


def expected(image: MedicalImage) -> Voxels:
    return HOUNSFIELD.denormalise(mri_window(image.voxels).normalise(image.voxels))


def regress(translator: Translator, image: MedicalImage) -> Voxels:
    return translate_images(translator, [image], CT, EngineConfig()).mean


def diffuse(translator: Translator, image: MedicalImage, **settings: int) -> Voxels:
    config = EngineConfig("diffuse", **({"steps": 3} | settings))
    return translate_images(translator, [image], CT, config).mean


def test_a_copy_comes_back_on_every_orientation() -> None:
    """48 orientations at the translator's own spacing: nothing is interpolated."""
    for turn in TURNS:
        image = waves(affine_of(rotation(0.3, (1, 2, 3)) @ turn))
        found = regress(Copy(), image)
        assert found.shape == image.voxels.shape
        assert np.abs(found - expected(image)).max() < 0.02, image.geometry.orientation


@pytest.mark.parametrize("turn", TURNS[::7], ids=lambda t: Geometry(affine_of(t)).orientation)
@pytest.mark.parametrize("spacing", [(0.8, 0.8, 3.0), (2.0, 1.0, 0.5), (1.2, 5.0, 1.2)])
def test_a_copy_comes_back_from_oblique_anisotropic_grids(
    turn: np.ndarray, spacing: tuple[float, ...]
) -> None:
    image = waves(affine_of(rotation(0.5, (3, -1, 2)) @ turn * spacing))
    error = np.abs(regress(Copy(), image) - expected(image))
    assert error[2:-2, 2:-2, 2:-2].max() < 12  # of 4095 HU; linear interpolation of the waves
    assert error.max() < 60  # the outermost voxels are half known


@pytest.mark.parametrize("shape", [(20, 22, 24), (21, 23, 25), (40, 3, 17), (9, 9, 70)])
def test_every_size_is_taken(shape: tuple[int, int, int]) -> None:
    image = waves(affine_of(np.eye(3)), shape)
    assert np.abs(regress(Copy(), image) - expected(image)).max() < 0.02


def small_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "PATCH", 16)
    monkeypatch.setattr(translation, "OVERLAP", 4)


def test_patches_of_a_constant_are_a_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    small_patches(monkeypatch)
    found = regress(Constant(), waves(affine_of(np.eye(3)), (60, 50, 40)))
    assert np.abs(found - 40).max() < 0.01


def test_patches_of_a_copy_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    small_patches(monkeypatch)
    image = waves(affine_of(np.eye(3)), (60, 50, 40))
    stub = Copy()
    assert np.abs(regress(stub, image) - expected(image)).max() < 0.02
    assert stub.asked == 3 * 2 * 2


def test_patches_that_disagree_are_blended() -> None:
    """The step of 100 HU between two patches is spread over their whole overlap."""
    stub = Quarrel()
    found = regress(stub, waves(affine_of(np.eye(3)), (200, 16, 16)))
    assert stub.asked == 2
    steps = np.abs(np.diff(found[:, 8, 8]))
    assert np.ptp(found) > 90
    assert steps.max() < 25


@pytest.mark.parametrize(("cells", "patches"), [(16, 1), (72, 1), (73, 2), (128, 2), (129, 3)])
def test_no_more_patches_than_needed(cells: int, patches: int) -> None:
    size = patch_size(cells)
    assert size % 8 == 0
    assert 16 <= size <= translation.PATCH
    if patches == 1:
        assert size >= cells
    else:
        step = size - translation.OVERLAP
        assert -(-(cells - translation.OVERLAP) // step) == patches


def test_diffusion_does_not_know_of_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noise is drawn once for the volume, so the layout of patches changes nothing."""
    image = waves(affine_of(np.eye(3)), (60, 50, 40))
    whole = diffuse(Echo(), image, seed=3)
    small_patches(monkeypatch)
    assert np.abs(diffuse(Echo(), image, seed=3) - whole).max() < 0.05
    assert whole.std() > 1


@pytest.mark.skipif(emulates_bf16(torch.device("cpu")), reason="this CPU only emulates bf16")
def test_bfloat16_moves_a_ct_by_one_hu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is used; the network's answer itself is kept in float32."""
    translator = load_translator("base", torch.device("cpu")).translator
    image = files.read(SAMPLES / "head" / "t1.nii.gz")
    assert translation.is_faster_in_bf16(translator)
    coarse = regress(translator, image)
    monkeypatch.setattr(translation, "is_faster_in_bf16", lambda _: False)
    fine = regress(translator, image)
    apart = np.abs(coarse - fine)[fine > -500]
    assert 0 < apart.mean() < 2
    assert np.quantile(apart, 0.999) < 20


def test_instance_norms_are_answered_in_float32() -> None:
    assert not translation.is_faster_in_bf16(Translator(TranslatorConfig(widths=(8, 8))))


def test_a_step_is_one_evaluation() -> None:
    stub = Echo()
    diffuse(stub, waves(affine_of(np.eye(3))), steps=5)
    assert stub.asked == 5


def test_the_mean_and_spread_of_samples_are_numpys() -> None:
    """And sample k of seed s is sample 0 of seed s + k."""
    image = waves(affine_of(np.eye(3)))
    config = EngineConfig("diffuse", steps=3, samples=4, seed=5)
    made = translate_images(Echo(), [image], CT, config)
    alone = np.stack([diffuse(Echo(), image, seed=5 + k) for k in range(4)])
    assert np.abs(made.mean - alone.mean(axis=0)).max() < 0.02
    assert made.spread is not None
    assert np.abs(made.spread - alone.std(axis=0, ddof=1)).max() < 0.02
    assert alone.std(axis=0).mean() > 1


def test_seeds_decide() -> None:
    image = waves(affine_of(np.eye(3)))
    assert np.array_equal(diffuse(Echo(), image, seed=1), diffuse(Echo(), image, seed=1))
    assert not np.array_equal(diffuse(Echo(), image, seed=1), diffuse(Echo(), image, seed=2))


def test_one_answer_has_no_spread() -> None:
    image = waves(affine_of(np.eye(3)))
    assert translate_images(Copy(), [image], CT, EngineConfig()).spread is None
    one = EngineConfig("diffuse", steps=2)
    assert translate_images(Copy(), [image], CT, one).spread is None


def test_padding_is_no_skin_and_far_from_the_scan_there_is_air() -> None:
    """The scan goes on by a voxel, without the ramp to 0 that the next slice would have seen."""
    image = waves(affine_of(np.diag([1.0, 1.0, 3.0])), (40, 44, 16))
    voxels = image.voxels.copy()
    voxels[..., 11:] = 0
    padded = image.with_voxels(voxels, MRI)
    found = regress(Copy(), padded)
    known = HOUNSFIELD.denormalise(mri_window(voxels).normalise(image.voxels))
    assert np.abs(found - known)[..., :10].max() < 20  # of slices of 3 mm, interpolated twice
    assert np.abs(found[..., 11] - found[..., 10]).max() < 20
    assert (found[..., 12:] == AIR_HU).all()
    several = translate_images(Echo(), [padded], CT, EngineConfig("diffuse", steps=2, samples=2))
    assert several.spread is not None
    assert (several.spread[..., 12:] == 0).all()
    assert several.spread[..., :10].min() > 0


def test_far_from_the_patient_there_is_air_and_no_work() -> None:
    voxels = np.zeros((150, 150, 150), np.float32)
    voxels[60:90, 60:90, 60:90] = 500
    stub = Constant()
    found = regress(stub, MedicalImage(voxels, Geometry(affine_of(np.eye(3))), MRI))
    assert stub.asked == 1
    assert np.abs(found[60:90, 60:90, 60:90] - 40).max() < 0.01
    assert found[0, 0, 0] == AIR_HU
    assert np.abs(found[50:100, 75, 75] - 40).max() < 0.01  # the margin


def test_a_translated_mri_is_0_far_from_the_patient() -> None:
    voxels = np.full((120, 60, 60), -1000.0)
    voxels[10:40, 20:40, 20:40] = 30
    image = MedicalImage(voxels, Geometry(affine_of(np.eye(3))), CT)
    made = translate_images(Constant(), [image], T2, EngineConfig()).mean
    assert made[100, 30, 30] == 0
    assert made.min() >= 0


def test_a_companion_on_another_grid_lands_on_the_first() -> None:
    """The stub copies slot 1, which is the first MRI; the order of slots is that of the sources."""
    first = waves(affine_of(np.eye(3)), (30, 30, 30))
    turned = affine_of(rotation(0.2, (0, 0, 1)) * 1.5)
    turned[:3, 3] = (5, -14, 35)
    companion = waves(turned, (40, 40, 40))
    both = translate_images(Copy(), [companion, first], CT, EngineConfig()).mean
    assert both.shape == companion.voxels.shape

    class CopySecond(Stub):
        def formula(self, noisy: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
            return self.ct_codec.encode(self.mri_codec.decode(source[:, 16:24]))

    found = translate_images(CopySecond(), [first, companion], CT, EngineConfig()).mean
    window = mri_window(companion.voxels)
    wanted = HOUNSFIELD.denormalise(window.normalise(first.voxels))
    assert np.abs(found - wanted)[3:-3, 3:-3, 3:-3].max() < 12


def test_padding_of_a_ct_does_not_bleed() -> None:
    """-3024 beside tissue is taken for the low end of the window, before anything is averaged."""
    heard = []

    class Listen(Stub):
        def formula(self, noisy: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
            heard.append(self.ct_codec.decode(source[:, :8]))
            return torch.zeros_like(noisy)

    voxels = np.full((30, 30, 20), 40, np.int16)
    voxels[:, :, :6] = -3024
    image = MedicalImage(voxels, Geometry(affine_of(np.diag([1.0, 1, 2.3]))), CT)
    translate_images(Listen(), [image], T2, EngineConfig())
    line = HOUNSFIELD.denormalise(heard[0][0, 0, 15, 15].numpy())
    between = (line > -900) & (line < 30)
    assert between.sum() >= 1
    assert line.min() > -1025


def test_a_batch_of_engines_keeps_the_source_alone() -> None:
    image = waves(affine_of(np.eye(3)))
    before = image.voxels.copy()
    regress(Copy(), image)
    assert np.array_equal(image.voxels, before)

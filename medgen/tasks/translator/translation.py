"""From images on their own grids to a translated image on the source's grid: both engines."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from medgen.data.intensity import HOUNSFIELD, Window, intensity_of
from medgen.data.padding import continued
from medgen.data.resample import Grid, isotropic_grid, resample
from medgen.diffusion.noise import noise_for
from medgen.diffusion.sampler import last, sample_dpm_solver
from medgen.diffusion.schedule import uniform_stops
from medgen.diffusion.windows import in_windows
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import AIR_HU, Kind, Modality
from medgen.shapes import Image, Latent
from medgen.tasks.device import emulates_bf16
from medgen.tasks.translator.translator import CT, Sources, Translator

Engine = Literal["regress", "diffuse", "flow"]
Voxels = Float[np.ndarray, "i j k"]

MRI_BRIGHT = 1000.0  # what a synthetic MRI's 99th percentile becomes; its unit is arbitrary
MARGIN_MM = 12.0  # of air kept around the patient
PATCH, OVERLAP = 72, 16  # cells of the latent grid: 144 mm of the 1 mm grid, 32 mm shared


@dataclass(frozen=True)
class EngineConfig:
    """How a translation is computed."""

    engine: Engine = "regress"  # or `diffuse`; `flow` is another model's
    steps: int = 8  # evaluations of the network a sample; `diffuse` only
    samples: int = 1  # whose mean is the result, and whose spread is sigma; `diffuse` only
    seed: int = 0  # of the first sample; the next has the next seed


@dataclass(frozen=True)
class Translated:
    """A translation on the source's grid.

    Attributes:
        mean: HU, or an MRI whose 99th percentile is 1000.
        spread: Standard deviation over the samples, same unit, not calibrated; None for one.
    """

    mean: Voxels
    spread: Voxels | None


@torch.inference_mode()
def translate_images(
    translator: Translator, sources: Sequence[MedicalImage], to: Kind, config: EngineConfig
) -> Translated:
    """Translate the images of one patient, on the grid of the first.

    Args:
        translator: In eval mode, on the device to compute on.
        sources: One image, or several of the same patient in one world; each with its kind.
        to: What to make.
        config: Engine, steps, samples and seed.

    Returns:
        On the grid of the first; air, or 0, in its padding beyond the reach of one voxel.
    """
    first = sources[0]
    own = Grid(_volume_shape(first), first.geometry)
    windows = [_window(source) for source in sources]
    grid = isotropic_grid(own, translator.config.spacing)
    grid = _around_patient(first, windows[0], grid)
    told = [beyond_padding(source) for source in sources]
    inputs = _on_grid(translator, [source for source, _ in told], windows, grid)
    means = _Running(grid.shape)
    for image in _predictions(translator, inputs, to, config):
        means.add(image[0, 0][tuple(slice(size) for size in grid.shape)].cpu().numpy())
    scale = unit_of(to)
    fill = AIR_HU if to == CT else 0.0
    mean = resample(scale.denormalise(means.mean), grid.geometry, own, fill=fill)
    _, unknown = told[0]
    mean[unknown] = fill
    spread = None
    if config.engine == "diffuse" and config.samples > 1:
        deviation = means.deviation * (scale.high - scale.low) / 2
        spread = resample(deviation.astype(np.float32), grid.geometry, own, fill=0.0)
        spread[unknown] = 0
    return Translated(mean, spread)


def beyond_padding(source: MedicalImage) -> tuple[MedicalImage, Bool[np.ndarray, "i j k"]]:
    """An MRI whose padding goes on as what is beside it, and where it tells nothing at all.

    A network would take the wall of the padding for skin or bone. What the padding of a CT says is
    air, which it knows.
    """
    if source.kind == CT:
        return source, np.zeros(source.voxels.shape, bool)
    voxels, unknown = continued(source.voxels, source.geometry.spacing)
    return replace(source, voxels=voxels), unknown


@dataclass
class _Running:
    """Mean and deviation of volumes that come one by one (Welford 1962)."""

    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        self.count = 0
        self.mean: np.ndarray = np.zeros(self.shape, np.float32)
        self._squares: np.ndarray | None = None

    def add(self, volume: Voxels) -> None:
        self.count += 1
        change = volume - self.mean
        self.mean = self.mean + change / self.count
        if self.count > 1:
            squares = change * (volume - self.mean)
            self._squares = squares if self._squares is None else self._squares + squares

    @property
    def deviation(self) -> Voxels:
        """Standard deviation, n - 1 in the denominator."""
        if self._squares is None:
            return np.zeros_like(self.mean)
        return np.sqrt(self._squares / (self.count - 1))


def unit_of(to: Kind) -> Window:
    """From the network's [-1, 1] to what is written: HU, or an MRI's arbitrary unit."""
    return HOUNSFIELD if to == CT else Window(0.0, 1.5 * MRI_BRIGHT)


def _volume_shape(image: MedicalImage) -> tuple[int, int, int]:
    i, j, k = image.voxels.shape
    return i, j, k


def patient_grid(image: MedicalImage, spacing: float) -> Grid:
    """The cubic RAS+ grid on which an image is translated: where the patient is, and no more."""
    own = Grid(_volume_shape(image), image.geometry)
    return _around_patient(image, _window(image), isotropic_grid(own, spacing))


def _around_patient(image: MedicalImage, window: Window, grid: Grid) -> Grid:
    """The part of the grid that holds the patient, so that no time goes into air."""
    step = max(1, min(image.voxels.shape) // 64)
    coarse = window.normalise(image.voxels[::step, ::step, ::step])
    threshold = -0.75 if image.kind == CT else -0.9  # -512 HU; 7.5 % of the bright percentile
    body = ndimage.binary_opening(coarse > threshold)
    if not body.any():
        return grid
    index = np.argwhere(body) * step
    corners = np.array(np.meshgrid(*zip(index.min(0), index.max(0) + step, strict=True)))
    inside = image.geometry.index_in(grid.geometry, corners.reshape(3, -1).T)
    margin = MARGIN_MM / grid.geometry.spacing[0]
    low = np.clip(np.floor(inside.min(0) - margin), 0, None).astype(int)
    high = np.minimum(np.ceil(inside.max(0) + margin), grid.shape).astype(int)
    affine = grid.geometry.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    i, j, k = (high - low).tolist()
    return Grid((i, j, k), Geometry(affine))


def _window(image: MedicalImage) -> Window:
    modality = image.kind.modality if image.kind else Modality.MRI
    return intensity_of(modality, image.voxels)


def _on_grid(
    translator: Translator,
    sources: Sequence[MedicalImage],
    windows: Sequence[Window],
    grid: Grid,
) -> Sources:
    """The network's input channels; sizes are made even by repeating the far edge."""
    channels = 1 + translator.config.mri_slots
    even = tuple(size + size % 2 for size in grid.shape)
    images = torch.zeros(1, channels, *even)
    present = torch.zeros(1, channels)
    slots = iter(range(1, channels))
    for source, window in zip(sources, windows, strict=True):
        is_ct = source.kind == CT
        channel = 0 if is_ct else next(slots)
        # What CTs hold beyond their field of view, such as -3024, must not bleed into the body.
        voxels = np.maximum(source.voxels, np.float32(window.low)) if is_ct else source.voxels
        fill = AIR_HU if is_ct else window.low
        voxels = resample(voxels, source.geometry, grid, fill=fill)
        padded = np.pad(
            window.normalise(voxels),
            [(0, size % 2) for size in grid.shape],
            mode="edge",
        )
        images[0, channel] = torch.from_numpy(padded)
        present[0, channel] = 1
    device = next(translator.parameters()).device
    return Sources(images.to(device), present.to(device))


def _predictions(
    translator: Translator, sources: Sources, to: Kind, config: EngineConfig
) -> Iterator[Image]:
    """Yield the regression, or each sample, as an image in [-1, 1] on the translator's grid."""
    source = translator.encode(sources)
    codec = translator.codec(to)
    denoise = _Patches(translator, source, to, sources.present)
    shape = (codec.channels, *source.shape[2:])
    if config.engine == "regress":
        yield codec.decode(denoise(torch.zeros(1, *shape).to(source), torch.ones(1).to(source)))
        return
    for sample in range(config.samples):
        # Drawn once for the whole volume: patches share it, so they agree where they overlap.
        noise = noise_for(config.seed + sample, [0], shape).to(source)
        stops = uniform_stops(config.steps)
        yield codec.decode(last(sample_dpm_solver(denoise, translator.process, noise, stops)))


@dataclass(frozen=True)
class _Patches:
    """`denoise(noisy, time) -> clean` of a whole volume, patch by patch, blended."""

    translator: Translator
    source: Latent
    to: Kind
    present: Float[Tensor, "1 channels"]

    def __call__(self, noisy: Latent, time: Float[Tensor, "1"]) -> Latent:
        conditions = self.translator.conditions([self.to], self.present)
        bands = noisy.shape[1]
        is_coarse = is_faster_in_bf16(self.translator)

        def predict(patch: Tensor) -> Tensor:
            with torch.autocast(patch.device.type, torch.bfloat16, enabled=is_coarse):
                return self.translator(patch[:, :bands], time, patch[:, bands:], conditions)

        grid = noisy.shape[2:]
        whole = torch.cat([noisy, self.source], dim=1)
        return in_windows(predict, whole, [patch_size(size) for size in grid], OVERLAP)


def is_faster_in_bf16(translator: Translator) -> bool:
    """Whether bfloat16 pays, which moves a CT by 1 HU: on GPUs, and CPUs that have it.

    On CPUs instance norms lose what the convolutions gain.
    """
    device = next(translator.parameters()).device
    has_norms = translator.config.norm == "instance"
    return device.type == "cuda" or not (has_norms or emulates_bf16(device))


def patch_size(size: int) -> int:
    """The least multiple of 8, from 16 to `PATCH`, with which as few as possible cover `size`.

    Example:
        >>> [patch_size(size) for size in (5, 30, 64, 73, 100, 128, 160)]
        [16, 32, 64, 48, 64, 72, 64]
    """
    count = max(1, -(-(size - OVERLAP) // (PATCH - OVERLAP)))
    least = (size + (count - 1) * OVERLAP) / count
    return min(PATCH, max(16, 8 * math.ceil(least / 8)))

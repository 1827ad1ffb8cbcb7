"""Rendering: what a CT and an MRI scanner see of one tissue map."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Generator, Tensor

from medgen.phantom.canvas import one_of
from medgen.phantom.field import chance, smooth_field, uniform
from medgen.phantom.protocol import Protocol, Relaxation
from medgen.phantom.resolution import blur, spilled, thick_slices
from medgen.phantom.tissue import MARROWS, MIXTURES, Tissue, column, of_each_tissue

Volume = Float[Tensor, "i j k"]
Tissues = Integer[Tensor, "i j k"]
SPILL_MM = 10.0  # how far it comes


@dataclass(frozen=True)
class Overlay:
    """A tissue that takes the place of part of what is there.

    Attributes:
        tissue: What comes.
        share: How much of each voxel it takes, 0 to 1.
        corner: Voxel of the body where the share's first voxel lies.
    """

    tissue: Tissue
    share: Volume
    corner: tuple[int, int, int] = (0, 0, 0)

    @property
    def box(self) -> tuple[slice, ...]:
        """The voxels of the body that it covers."""
        ends = zip(self.corner, self.share.shape, strict=True)
        return tuple(slice(start, start + size) for start, size in ends)

    def over(self, image: Volume, value: float | Tensor) -> None:
        """Blend the tissue's value into an image of the body, in place."""
        part = image[self.box]
        part.lerp_(torch.as_tensor(value).to(part).expand_as(part), self.share)


@dataclass(frozen=True)
class Body:
    """One patient: tissues, and what no label map holds but every scanner of the patient sees.

    Attributes:
        tissue: `Tissue` of each voxel.
        fat: Share of fat in the voxels of mixed tissue, 0 to 1.
        texture: Fine unit Gaussian variation of the tissue.
        spacing: Voxel size, mm.
        overlays: What disease puts there, each over all before it.
        yellow: Share of the marrow that has become fat, 0 to 1; None is none.
    """

    tissue: Tissues
    fat: Volume
    texture: Volume
    spacing: float
    overlays: tuple["Overlay", ...] = ()
    yellow: Volume | None = None


def embody(tissue: Tissues, *, spacing: float, generator: Generator) -> Body:
    """Draw a patient's fat distribution and tissue texture.

    Fat lies in compartments of about a centimetre; the scalp is mostly fat, deeper soft tissue
    mostly muscle, and people differ in both.
    """
    shape = tuple(tissue.shape)
    patches = smooth_field(shape, 9 / spacing, generator) + 0.6 * smooth_field(
        shape, 4 / spacing, generator
    )
    sharp = uniform(2, 8, generator)
    scalp = uniform(0.2, 1.2, generator)
    soft = uniform(-1.2, 0.2, generator)
    lean = torch.where(tissue == Tissue.SCALP, scalp, soft)
    fat = torch.sigmoid(sharp * (patches[0] + lean))
    texture = smooth_field(shape, 4 / spacing, generator)[0]
    return Body(tissue, fat, texture, spacing)


def with_yellow_marrow(body: Body, generator: Generator) -> Body:
    """The same patient with fat in the marrow: in patches of about a centimetre, as it comes.

    In the spongy bone of limbs the signal of T1 is anything from .3 of fat's to all of it between
    patients, and differs by .3 of fat's between the quartiles of one. CT hardly shows it.
    """
    patches = smooth_field(tuple(body.tissue.shape), 12 / body.spacing, generator)[0]
    sharp, lean = uniform(1, 8, generator), uniform(-0.5, 0.5, generator)
    return replace(body, yellow=torch.sigmoid(sharp * (patches + lean)))


@dataclass(frozen=True)
class CTScan:
    """How a CT is taken.

    Attributes:
        fwhm_mm: Full width at half maximum of the point spread function, mm.
        noise_hu: Standard deviation of the noise, HU.
        agent_hu: What contrast agent adds to the blood, HU; 0 is a scan without.
    """

    fwhm_mm: float = 1.0
    noise_hu: float = 15.0
    agent_hu: float = 0.0


def render_ct(body: Body, scan: CTScan, *, generator: Generator) -> Volume:
    """The CT of a body, in HU.

    The means of the tissues differ between patients, their texture within one; the point spread
    function mixes neighbouring tissues (partial volume). Metal is more than a scanner stores.
    """
    mean, between, within = column("hu"), column("hu_between"), column("hu_texture")
    mean = mean + between * of_each_tissue(1, generator)[0] + scan.agent_hu * column("uptake")
    mixed = one_of(body.tissue, MIXTURES)
    index = body.tissue.long()
    hu = mean[index]
    hu = torch.where(mixed, torch.lerp(hu, mean[Tissue.FAT], body.fat), hu)
    hu = hu + within[index] * body.texture
    for overlay in body.overlays:
        overlay.over(hu, mean[overlay.tissue])
    hu = blur(hu[None], (scan.fwhm_mm / body.spacing,) * 3)[0]
    if scan.noise_hu:
        hu = hu + scan.noise_hu * torch.randn(hu.shape, generator=generator)
    return hu.clamp(min=-1024)


@dataclass(frozen=True)
class MRIScan:
    """How an MRI is taken.

    Attributes:
        protocol: The pulse sequence and its times.
        fwhm_mm: Full width at half maximum of the point spread function, mm.
        noise: Standard deviation of each noise channel, relative to the 99th percentile.
        bias: Standard deviation of the logarithm of the receive field.
        bias_mm: Distance over which the receive field varies, mm.
        thickness_mm: Slice thickness, mm; up to one voxel means a 3-D acquisition.
        axis: Voxel axis across the slices.
        spill: Share of a tissue's signal that is that of the centimetre around it, so that what has
            none, as bone, is not black. Air stays so.
    """

    protocol: Protocol
    fwhm_mm: float = 1.0
    noise: float = 0.015
    bias: float = 0.15
    bias_mm: float = 90.0
    thickness_mm: float = 1.0
    axis: int = 2
    spill: float = 0.0


def random_mri(protocol: Protocol, generator: Generator) -> MRIScan:
    """Resolution, noise and bias of some scanner: 3-D at about 1 mm, or slices up to 5 mm."""
    thick = uniform(2, 5, generator) if chance(0.35, generator) else 1.0
    return MRIScan(
        protocol,
        fwhm_mm=uniform(0.5, 1.5, generator),
        noise=uniform(0.003, 0.045, generator),
        bias=uniform(0, 0.35, generator),
        bias_mm=uniform(50, 120, generator),
        thickness_mm=thick,
        axis=int(uniform(0, 3, generator)),
    )


def render_mri(body: Body, scan: MRIScan, *, tissue: Relaxation, generator: Generator) -> Volume:
    """The magnitude image of a body, scaled so that its 99th percentile is 1.

    Args:
        body: The patient.
        scan: How it is acquired.
        tissue: Relaxation times of this patient.
        generator: Source of the texture's strength, the receive field and the noise.
    """
    signal = scan.protocol.signal(tissue)
    signal = signal.where(torch.arange(len(signal)) != Tissue.FAT, signal * scan.protocol.fat_share)
    # Flowing blood is anything from black (washed out) to bright (inflow).
    signal[Tissue.VESSEL] *= uniform(0, 2, generator)
    image = signal[body.tissue.long()]
    mixed = one_of(body.tissue, MIXTURES)
    image = torch.where(mixed, torch.lerp(image, signal[Tissue.FAT], body.fat), image)
    if body.yellow is not None:
        fatty = scan.protocol.signal(tissue.with_yellow_marrow()) * scan.protocol.fat_share
        marrow = torch.lerp(image, fatty[body.tissue.long()], body.yellow)
        image = torch.where(one_of(body.tissue, MARROWS), marrow, image)
    image = image * (1 + uniform(0, 0.1, generator) * body.texture)
    for overlay in body.overlays:
        overlay.over(image, signal[overlay.tissue])
    image = blur(image[None], (scan.fwhm_mm / body.spacing,) * 3)
    image = thick_slices(image, scan.thickness_mm / body.spacing, scan.axis)[0]
    if scan.spill:
        hazy = spilled(image[None], scan.spill, SPILL_MM / body.spacing)[0]
        image = torch.where(body.tissue == Tissue.AIR, image, hazy)
    shape = tuple(image.shape)
    field = smooth_field(shape, scan.bias_mm / body.spacing, generator)[0]
    image = image * torch.exp(scan.bias * field)
    image = image / percentile(image, 0.99)
    return rician(image, scan.noise, generator)


def rician(image: Volume, noise: float, generator: Generator) -> Volume:
    """Magnitude of a complex image with Gaussian noise in both channels.

    Source: Gudbjartsson & Patz 1995, eq. 1 (10.1002/mrm.1910340618).
    """
    real = image + noise * torch.randn(image.shape, generator=generator)
    imaginary = noise * torch.randn(image.shape, generator=generator)
    return torch.hypot(real, imaginary)


def percentile(image: Volume, share: float) -> float:
    """The value below which this share of the brighter half lies; never 0."""
    values = image.flatten()
    values = values[:: max(1, len(values) // 100_000)]
    bright = values[values > 0.05 * values.max()]
    return float(bright.quantile(share)) if len(bright) else 1.0

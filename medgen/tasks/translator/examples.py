"""Training examples of the translator: simulated heads and real pairs, one at a time.

An example is a pure function of its number, so a run can be resumed, split over processes, or
repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from medgen.data.intensity import HEADROOM, HOUNSFIELD
from medgen.diffusion.noise import generator_for
from medgen.errors import UsageError
from medgen.modality import Contrast, Kind, Modality
from medgen.phantom.anatomy import Anatomy
from medgen.phantom.field import chance, normal, smooth_field, uniform
from medgen.phantom.placement import PlacementConfig, place, random_affine, random_centre
from medgen.phantom.protocol import TYPICAL, Relaxation, random_protocol
from medgen.phantom.render import (
    Body,
    CTScan,
    MRIScan,
    embody,
    random_mri,
    render_ct,
    render_mri,
    with_yellow_marrow,
)
from medgen.phantom.resolution import thick_slices
from medgen.phantom.tissue import Tissue
from medgen.tasks.translator.translator import CT, TARGETS

Volume = Float[Tensor, "i j k"]
COARSE_MM = 1.5, 7.0  # full width at half maximum of the point spread function


@dataclass(frozen=True)
class Example:
    """One patch to learn from.

    Attributes:
        images: CT, then the MRI slots, in [-1, 1]; zeros where absent.
        present: 1 for a channel that is given.
        target: The image to predict, in [-1, 1].
        kind: What the target is.
        weight: How much each voxel counts; 0 where the truth is unknown.
        is_aligned: Whether sources and target agree voxel by voxel, as in a simulated patient.
        time: How noisy the target is shown: 1 is the regression.
        noise: Unit Gaussian noise of the target's latent.
    """

    images: Float[Tensor, "channels i j k"]
    present: Float[Tensor, "channels"]
    target: Float[Tensor, "1 i j k"]
    kind: Kind
    weight: Float[Tensor, "1 i j k"]
    is_aligned: bool
    time: float
    noise: Float[Tensor, "bands *grid"]


@dataclass(frozen=True)
class Pair:
    """A real CT and MRI of one patient on one 1 mm RAS+ grid.

    Attributes:
        ct: HU; air where the CT does not reach.
        mri: Divided by its window's upper end, so that [0, 1] maps to [-1, 1].
        contrast: The MRI's weighting; None where nobody knows, so that it is never a target.
        weight: 1 inside the body, less outside, 0 where CT or MRI is missing.
    """

    ct: Volume
    mri: Volume
    contrast: Contrast | None
    weight: Volume


@dataclass(frozen=True)
class ExampleConfig:
    """What the translator is shown, and how often."""

    patch: int = 80  # side of a patch, mm = voxels
    real: float = 0.22  # share of examples from real pairs
    to_ct: float = 0.8  # share whose target is CT
    from_ct: float = 0.4  # of the others: share whose source is CT, not MRI
    regression: float = 0.8  # share at time 1
    outside: float = 0.2  # weight of the air around the patient
    jitter: float = 0.25  # largest relative error of the MRI's window
    fatty: float = 0.25  # share of simulated patients with fat in the place of some muscle
    yellow_marrow: float = 0.7  # share of simulated patients whose marrow is fatty to some degree
    dim_fat: float = 0.5  # share of simulated MRIs whose fat is darker than relaxation makes it
    coarse: float = 0.25  # share of simulated MRIs blurred to `COARSE_MM` in every direction
    spill: float = 0.5  # share of simulated MRIs whose bone is not black

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        if self.patch < 2 or self.patch % 2:
            raise UsageError("patch is an even number of voxels")
        shares = [one.name for one in fields(self) if one.name != "patch"]
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name):g}; it is a share, 0 to 1")


@dataclass(frozen=True)
class Examples:
    """Item number -> example."""

    anatomies: Sequence[Anatomy]
    pairs: Sequence[Pair]
    config: ExampleConfig
    seed: int
    slots: int = 3  # for MRIs

    def __call__(self, number: int) -> Example:
        """The example of this number."""
        generator = generator_for(self.seed, number)
        if self.pairs and (not self.anatomies or chance(self.config.real, generator)):
            return self._real(generator)
        return self._simulated(generator)

    def _simulated(self, generator: Generator) -> Example:
        config = self.config
        anatomy = self.anatomies[int(uniform(0, len(self.anatomies), generator))]
        size = (config.patch,) * 3
        tissue = place(
            anatomy,
            size,
            spacing=1.0,
            centre=random_centre(anatomy, config.patch, generator),
            generator=generator,
            config=PlacementConfig(),
        )
        if _is_limb(anatomy):
            tissue = _turned_over(tissue, generator)
        if chance(config.fatty, generator):
            tissue = _with_less_muscle(tissue, generator)
        body = embody(tissue, spacing=1.0, generator=generator)
        relaxation = Relaxation.textbook().varied(generator)
        if chance(config.yellow_marrow, generator):
            body = with_yellow_marrow(body, generator)
        target = _random_target(config, generator)
        truth = _render_target(body, target, relaxation, generator)
        ct, mris = None, []
        if target == CT or not chance(config.from_ct, generator):
            mris = self._random_mris(body, target, relaxation, generator)
        else:
            scan = CTScan(uniform(0.8, 1.6, generator), uniform(0, 35, generator))
            ct = _ct_image(render_ct(body, scan, generator=generator))
        inside = (tissue != Tissue.AIR).float()
        weight = config.outside + (1 - config.outside) * _dilated(inside, 5)
        return self._example(ct, mris, truth, target, weight, generator, is_aligned=True)

    def _random_mris(
        self, body: Body, target: Kind, relaxation: Relaxation, generator: Generator
    ) -> list[Volume]:
        """One to three MRIs of a patient, none of them of the target's contrast."""
        others = [contrast for contrast in Contrast if contrast is not target.contrast]
        order = torch.randperm(len(others), generator=generator).tolist()
        count = 1 if chance(0.7, generator) else 2 + int(chance(0.5, generator))
        mris = []
        for contrast in [others[at] for at in order][: min(count, self.slots)]:
            known = None if chance(0.2, generator) else contrast
            scan = self._varied(random_mri(random_protocol(known, generator), generator), generator)
            image = render_mri(body, scan, tissue=relaxation, generator=generator)
            mris.append(_mri_image(image / HEADROOM * self._jitter(generator)))
        return mris

    def _real(self, generator: Generator) -> Example:
        config = self.config
        pair = self.pairs[int(uniform(0, len(self.pairs), generator))]
        ct, mri, weight = turned(pair, config.patch, generator)
        is_to_ct = chance(config.to_ct, generator) or pair.contrast is None
        target = CT if is_to_ct else Kind(Modality.MRI, pair.contrast)
        if target == CT:
            mri = _mri_image(_worse(mri, generator) * self._jitter(generator))
            return self._example(
                None, [mri], _ct_image(ct), CT, weight, generator, is_aligned=False
            )
        truth = _mri_image(mri)
        return self._example(_ct_image(ct), [], truth, target, weight, generator, is_aligned=False)

    def _varied(self, scan: MRIScan, generator: Generator) -> MRIScan:
        """The scan as scanners outside the textbook make it.

        Water excitation and readout dephasing leave the fat of many 3-D T1 scans no brighter than
        white matter, resampled heads are coarser than what was acquired and averages of many
        people far coarser, and the bone of real heads has up to a quarter of the signal around it.
        """
        if chance(self.config.dim_fat, generator):
            share = scan.protocol.fat_share * uniform(0.2, 1, generator)
            scan = replace(scan, protocol=replace(scan.protocol, fat_share=share))
        if chance(self.config.coarse, generator):
            low, high = COARSE_MM
            scan = replace(scan, fwhm_mm=low * (high / low) ** uniform(0, 1, generator))
        if chance(self.config.spill, generator):
            scan = replace(scan, spill=uniform(0, 0.25, generator))
        return scan

    def _jitter(self, generator: Generator) -> float:
        return 1 + self.config.jitter * uniform(-1, 1, generator)

    def _example(
        self,
        ct: Volume | None,
        mris: list[Volume],
        truth: Volume,
        kind: Kind,
        weight: Volume,
        generator: Generator,
        *,
        is_aligned: bool,
    ) -> Example:
        config = self.config
        images = torch.zeros(1 + self.slots, *truth.shape)
        present = torch.zeros(1 + self.slots)
        if ct is not None:
            images[0], present[0] = ct, 1
        for slot, mri in enumerate(mris, start=1):
            images[slot], present[slot] = mri, 1
        while chance(0.3, generator):
            images, weight = _cut(images, present, weight, generator)
        is_regression = chance(config.regression, generator)
        time = 1.0 if is_regression else uniform(0.02, 1, generator)
        grid = [size // 2 for size in truth.shape]
        noise = torch.randn(8, *grid, generator=generator)
        return Example(images, present, truth[None], kind, weight[None], is_aligned, time, noise)


def _is_limb(anatomy: Anatomy) -> bool:
    """Whether it is one of a limb or a trunk: skin alone is told from the tissue below it there."""
    return bool((anatomy.tissue == int(Tissue.SKIN)).any())


def _turned_over(tissue: UInt8[Tensor, "i j k"], generator: Generator) -> Tensor:
    """Back to front, or upside down, or both, or neither: limbs lie in any way, heads do not."""
    return tissue.flip([axis for axis in (1, 2) if chance(0.5, generator)])


def _with_less_muscle(tissue: UInt8[Tensor, "i j k"], generator: Generator) -> Tensor:
    """Fat where blobs of some centimetres cover muscle: it is thick in few of the limbs."""
    blobs = smooth_field(tuple(tissue.shape), 40.0, generator)[0]
    covered = (tissue == Tissue.MUSCLE) & (blobs > uniform(-0.6, 0.6, generator))
    return tissue.masked_fill(covered, int(Tissue.FAT))


def _random_target(config: ExampleConfig, generator: Generator) -> Kind:
    if chance(config.to_ct, generator):
        return CT
    return TARGETS[1 + int(uniform(0, len(TARGETS) - 1, generator))]


def _render_target(
    body: Body, target: Kind, relaxation: Relaxation, generator: Generator
) -> Volume:
    """The truth, without the noise that nobody can predict."""
    if target.contrast is None:
        return _ct_image(render_ct(body, CTScan(noise_hu=0), generator=generator))
    scan = MRIScan(TYPICAL[target.contrast], noise=0, bias=0)
    return _mri_image(render_mri(body, scan, tissue=relaxation, generator=generator) / HEADROOM)


def turned(pair: Pair, patch: int, generator: Generator) -> tuple[Volume, Volume, Volume]:
    """A patch of a pair, somewhere in its body, rotated, resized and mirrored along any axis.

    Pairs are of limbs and trunks, whose tissues look alike whichever way is up.
    """
    config = PlacementConfig(rotation=25, size=0.15)
    matrix = random_affine(generator, config)
    for axis in (1, 2):  # mirrored along the first one already, or not
        if chance(config.mirror, generator):
            matrix[:, axis] *= -1
    sizes = torch.tensor(pair.ct.shape)
    middle = torch.tensor([uniform(0.15, 0.85, generator) * (size - 1) for size in pair.ct.shape])
    along = torch.arange(patch) - (patch - 1) / 2
    grid = torch.stack(torch.meshgrid(along, along, along, indexing="ij"), dim=-1)
    points = grid @ matrix.T + middle
    bend = smooth_field((patch,) * 3, 30, generator, channels=3)
    points = points + 1.5 * bend.movedim(0, -1)
    low = (points.amin((0, 1, 2)).floor().long() - 1).clamp(min=0).minimum(sizes - 1)
    high = (points.amax((0, 1, 2)).ceil().long() + 2).clamp(min=1).minimum(sizes)
    reach = tuple(slice(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))
    air = HOUNSFIELD.low  # so that the zeros beyond the grid become air
    weight = pair.weight[reach]
    volumes = torch.stack([pair.ct[reach] - air, pair.mri[reach], weight, (weight > 0).float()])
    normalised = ((2 * (points - low) + 1) / (high - low) - 1).flip(-1)[None]
    taken = torch.nn.functional.grid_sample(
        volumes[None], normalised, mode="bilinear", padding_mode="zeros", align_corners=False
    )[0]
    ct, mri, weight, certain = taken
    return ct + air, mri, torch.where(certain > 0.99, weight, torch.zeros(()))


def _worse(mri: Volume, generator: Generator) -> Volume:
    """The same MRI from another scanner: contrast, receive field, resolution and noise."""
    gamma = 2 ** (0.4 * uniform(-1, 1, generator))
    field = smooth_field(tuple(mri.shape), uniform(50, 120, generator), generator)[0]
    mri = mri.clamp(min=0) ** gamma * torch.exp(uniform(0, 0.25, generator) * field)
    if chance(0.3, generator):
        mri = thick_slices(mri[None], uniform(2, 5, generator), 2)[0]
    return (mri + 0.03 * abs(normal(generator)) * torch.randn(mri.shape, generator=generator)).abs()


def _cut(
    images: Float[Tensor, "channels i j k"],
    present: Float[Tensor, "channels"],
    weight: Volume,
    generator: Generator,
) -> tuple[Float[Tensor, "channels i j k"], Volume]:
    """End the field of view inside the patch: no neck, no vertex, a limb cut on one side."""
    axis, size = int(uniform(0, 3, generator)), images.shape[1]
    at = int(uniform(0.1, 0.4, generator) * size)
    beyond = slice(0, at) if chance(0.5, generator) else slice(size - at, size)
    images, weight = images.movedim(1 + axis, 1).clone(), weight.movedim(axis, 0).clone()
    images[:, beyond] = -present[:, None, None, None]
    weight[beyond] = 0
    return images.movedim(1, 1 + axis), weight.movedim(0, axis)


def _ct_image(hu: Volume) -> Volume:
    low, high = HOUNSFIELD.low, HOUNSFIELD.high
    return ((hu - low) * (2 / (high - low)) - 1).clamp(-1, 1)


def _mri_image(share: Volume) -> Volume:
    """From [0, 1], the MRI's window, to [-1, 1]."""
    return (2 * share - 1).clamp(-1, 1)


def _dilated(inside: Volume, width: int) -> Volume:
    """What lies within a cube of this width of the inside; axis by axis, which is the same."""
    grown = inside[None]
    for axis in range(3):
        size, margin = [1, 1, 1], [0, 0, 0]
        size[axis], margin[axis] = width, width // 2
        grown = torch.nn.functional.max_pool3d(grown, size, stride=1, padding=margin)
    return grown[0]

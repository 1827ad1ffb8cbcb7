"""Regions of other scans, woven into a scan: translated where they are of another kind."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from scipy import ndimage

from medgen.data.feather import dilated, feathered
from medgen.data.intensity import Window, intensity_of
from medgen.data.resample import Grid, resample
from medgen.errors import InputError, UsageError
from medgen.io.geometry import lie_inside
from medgen.io.image import MedicalImage
from medgen.modality import FACTS, Contrast, Kind, Modality
from medgen.tasks.translate import Maker, TranslateConfig, Translation, translate
from medgen.tasks.weaving.bank import FINE, RING, Look, look_of
from medgen.tasks.weaving.woven import Woven, added, labels_of, measured, steps_of

LOG = logging.getLogger(__name__)
WHOLE = 0.9  # of a region in the scan's field; less is told
USUAL = Contrast.T1  # of an MRI that does not say its own, as everywhere in medgen
DARK = 0.1  # of a window: what is no brighter says nothing of how bright a scan is
MOST_GAIN = 2.0  # by which surroundings may correct what the windows say of brightness
CLIPPED = 3.0  # standard deviations of grain: more is anatomy
MAD = 1.4826  # from the median size of normal deviates to their standard deviation

Region = Bool[np.ndarray, "i j k"]
Values = Float32[np.ndarray, "i j k"]


@dataclass(frozen=True)
class WithConfig:
    """What `medgen weave --with` is asked to do."""

    dilate: float = 0.0  # mm that a region may grow
    feather: float = 4.0  # mm over which it fades into the scan
    force: bool = False  # go on outside the training range, or beside the body
    overwrite: bool = False  # replace results that exist
    model: str = "base"  # translates, where kinds differ: a bundled model's name, or a folder
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        for name in ("dilate", "feather"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UsageError(f"{name} is {getattr(self, name):g}; choose 0 or more")


@dataclass(frozen=True)
class Other:
    """Another scan and the region of it that is woven.

    Attributes:
        image: With its kind.
        region: On its own voxels; not empty.
    """

    image: MedicalImage
    region: Region


@dataclass(frozen=True)
class Lent:
    """What another scan lends, on the voxels of the scan that it is woven into.

    Attributes:
        values: In the scan's unit.
        region: Where; not empty.
        there: 1 where the other scan is known, 0 beyond its field.
        kind: Of the other scan.
        target: What it was made, which is what the scan is or is taken for.
        sha256: Of its file.
        look: Of the region in the other scan, in its own unit.
        maker: What translated it; None where nothing had to.
        plain: The other scan itself, in its own unit.
    """

    values: Values
    region: Region
    there: Values
    kind: Kind
    target: Kind
    sha256: str
    look: Look
    maker: Maker | None
    plain: MedicalImage

    @property
    def name(self) -> str:
        """What the region is called: `from ct`."""
        return f"from {self.kind}"


def lent(other: Other, image: MedicalImage, config: WithConfig) -> Lent:
    """Bring a region of another scan onto a scan's voxels, and to its kind and brightness.

    CT is in Hounsfield units and stays what it is. An MRI has no unit: it is scaled so that windows
    agree, and then the surroundings of the region. A translation is smooth, and gets the grain of
    the scan.

    Args:
        other: In the same world as the scan, as scans of one study are.
        image: The scan, with its kind.
        config: How.

    Raises:
        InputError: If the region lies beyond the scan or is smaller than its voxels, or the other
            scan is unlike those that the model has seen.
        UsageError: If one of them is no volume, or of a kind that nobody can tell.
        ModelError: If the model is missing or damaged.
    """
    name = _name(other.image)
    target, source = _kinds(image, other.image)
    region = _moved(other, image, name)
    made, maker = other.image, None
    if source != target:
        translation = _translated(other.image, source, target, config)
        made, maker = translation.image, translation.maker
    there = _on_voxels(np.ones(made.voxels.shape, np.float32), made, image, 0.0)
    own, window = (intensity_of(target.modality, one.voxels) for one in (image, made))
    values = _on_voxels(made.voxels, made, image, float(window.low))
    around = dilated(region, RING, (1.0,) * 3) & ~region & (there > 0)
    if target.modality is Modality.MRI:
        values = _as_bright(values, window, image.voxels, own, around)
    if maker is not None:
        values = values + _grain(image.voxels, around)
    return Lent(
        values,
        region,
        there,
        source,
        target,
        other.image.source.sha256 if other.image.source else "",
        look_of(other.image.voxels, other.region),
        maker,
        other.image.with_voxels(other.image.voxels, source),
    )


def fuse(image: MedicalImage, parts: Sequence[Lent], config: WithConfig) -> Woven:
    """Put what other scans lend into a scan; beyond the faded regions no bit changes.

    Args:
        image: The scan, with its kind.
        parts: At least one. Where regions overlap, the rules of `shared_out` say whose a voxel is.
        config: How.
    """
    labels = labels_of(np.stack([one.region for one in parts]), [one.name for one in parts])
    spacing = steps_of(image)
    values = image.voxels.astype(np.float64)
    changed = np.zeros(labels.shape, bool)
    for at, part in enumerate(parts, start=1):
        if not (labels == at).any():
            continue
        wide = dilated(labels == at, config.dilate, spacing)
        free = (labels == 0) | (labels == at)  # what another region has stays its own
        weight = feathered(wide, config.feather, spacing) * part.there * free
        values += weight * (part.values - values)
        changed |= weight > 0
    kind = image.kind or Kind(Modality.CT)
    window = intensity_of(kind.modality, image.voxels)
    voxels = added(image, values - image.voxels, changed, window)
    woven = image.with_voxels(voxels, kind)
    findings = tuple(
        measured(part.name, labels == at, image, woven)
        for at, part in enumerate(parts, start=1)
        if (labels == at).any()
    )
    return Woven(woven, changed, labels, findings)


def on_voxels_of(image: MedicalImage, other: MedicalImage) -> MedicalImage:
    """Another scan on the voxels of a scan, in its own unit."""
    low = float(other.voxels.min())
    voxels = _on_voxels(other.voxels, other, image, low)
    # Like a mask, it may be the same everywhere: beyond its field nothing is known.
    return MedicalImage(voxels, image.geometry, other.kind, is_mask=True)


def _kinds(image: MedicalImage, other: MedicalImage) -> tuple[Kind, Kind]:
    """What the scan and the other scan are, as far as it must be known.

    Raises:
        UsageError: If one of them is no volume, or two MRIs may or may not be of one contrast.
    """
    for one in (image, other):
        if one.kind is None or FACTS[one.kind.modality].axes != 3:
            raise UsageError(
                f"{_name(one)}: is no CT and no MRI; --with weaves regions of volumes into volumes"
            )
    target, source = image.kind, other.kind
    if target is None or source is None:
        raise UsageError(f"{_name(other)}: does not say what it is; write ct= or mri:t1= before it")
    if target.modality is source.modality is Modality.MRI:
        for one, kind in ((image, target), (other, source)):
            if kind.contrast is None:
                raise UsageError(
                    f"{_name(one)}: is an MRI that does not say its contrast; write mri:t1= (or "
                    "t2, flair, pd) before it"
                )
    if target == Kind(Modality.MRI):
        LOG.warning(
            "%s: does not say its contrast and is taken for %s; write mri:t2= (or flair, pd) "
            "before it if it is another",
            _name(image),
            Kind(Modality.MRI, USUAL),
        )
        target = Kind(Modality.MRI, USUAL)
    return target, source


def _translated(image: MedicalImage, source: Kind, target: Kind, config: WithConfig) -> Translation:
    """What the model makes of another scan; says what `force` let pass."""
    asked = TranslateConfig(
        to=str(target),
        source=str(source),
        model=config.model,
        device=config.device,
        force=config.force,
    )
    translation = translate([image], asked)
    for line in translation.warnings:
        LOG.warning("%s", line)
    return translation


def _moved(other: Other, image: MedicalImage, name: str) -> Region:
    """The region on the scan's voxels.

    Raises:
        InputError: If none of it is left.
    """
    share = _on_voxels(other.region.astype(np.float32), other.image, image, 0.0)
    region: Region = share >= 0.5
    index = other.image.geometry.index_in(image.geometry, np.argwhere(other.region))
    inside = lie_inside(index, image.voxels.shape).mean()
    if inside == 0:
        raise InputError(
            f"{name}: its region lies beyond the scan's field of view; are they of one patient and "
            "frame?"
        )
    if not region.any():
        raise InputError(f"{name}: its region is smaller than a voxel of the scan; draw it larger")
    if inside < WHOLE:
        LOG.warning("%s: %.0f %% of its region is in the scan's field", name, 100 * inside)
    return region


def _on_voxels(
    values: np.ndarray, source: MedicalImage, image: MedicalImage, fill: float
) -> Values:
    i, j, k = image.voxels.shape
    return resample(values, source.geometry, Grid((i, j, k), image.geometry), fill=fill)


def _as_bright(
    values: Values, window: Window, voxels: np.ndarray, own: Window, around: Region
) -> Values:
    """An MRI in the brightness of another: their windows agree, then a region's surroundings.

    Args:
        values: What is to be scaled.
        window: Of the values.
        voxels: Of the other MRI, on the same grid.
        own: Window of these.
        around: The region's surroundings.
    """
    span = own.high - own.low
    scaled = (values - window.low) * (span / (window.high - window.low))
    if around.any():
        here = float(np.median(voxels[around])) - own.low
        there = float(np.median(scaled[around]))
        if min(here, there) > DARK * span:
            scaled = scaled * np.clip(here / there, 1 / MOST_GAIN, MOST_GAIN)
    return (scaled + own.low).astype(np.float32)


def _grain(voxels: np.ndarray, around: Region) -> Values:
    """The scan's fine detail, no larger than the noise of a region's surroundings."""
    values = voxels.astype(np.float32)
    fine = values - ndimage.gaussian_filter(values, FINE)
    if not around.any():
        return np.zeros_like(fine)
    most = CLIPPED * MAD * float(np.median(np.abs(fine[around])))
    return fine.clip(-most, most)


def _name(image: MedicalImage) -> str:
    return str(image.source.path) if image.source else "image"

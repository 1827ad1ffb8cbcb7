"""A study: one made-up patient, seen by a CT and several MRI protocols, and what is known of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, UInt8
from torch import Generator, Tensor

from medgen.data.counterfactuals import Counterfactual
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Contrast, Kind
from medgen.phantom.acquisition import (
    Averaging,
    acquire_ct,
    acquire_mri,
    averaged_geometry,
    turned_to_lps,
)
from medgen.phantom.anatomy import Anatomy, geometry_of, label_maps, read_anatomy
from medgen.phantom.counterfactual import counterfactuals
from medgen.phantom.course import Visit, single, visit_of
from medgen.phantom.fact import Fact, absent, report_of
from medgen.phantom.field import chance, generator_of, uniform
from medgen.phantom.head_findings import NAMES, IllHead, drawn_names, fallen_ill
from medgen.phantom.mask import masks_of
from medgen.phantom.placement import STILL, PlacementConfig, place
from medgen.phantom.procedural import procedural_head
from medgen.phantom.protocol import TYPICAL, Relaxation, random_protocol
from medgen.phantom.render import Body, CTScan, MRIScan, embody
from medgen.phantom.study_config import ANY, StudyConfig
from medgen.phantom.tissue import FIRST_OF_THORAX, Tissue

STUDY_PLACEMENT = PlacementConfig(rotation=7, size=0.06, bend_mm=2.5, ripple_mm=0.8, is_round=True)
NECK_MM = 40.0  # how far a label map that ends in the neck is continued
MARGIN_MM = 12.0  # more field of view than the anatomy has, for larger patients
HEAD_TISSUES = list(Tissue)[:FIRST_OF_THORAX]
BRAIN = (Tissue.CSF, Tissue.GREY_MATTER, Tissue.WHITE_MATTER)


@dataclass(frozen=True)
class SimulatedStudy:
    """The images of one patient and the truth about them.

    Attributes:
        images: By kind, the CT first.
        facts: What is known, as JSON takes it.
        report: What a radiologist would have written; None where nobody asked.
        counterfactuals: Reports with one fact changed.
        masks: Where each finding is, by its name: in the volumes, and in the radiograph.
    """

    images: dict[Kind, MedicalImage]
    facts: dict[str, Any]
    report: str | None = None
    counterfactuals: tuple[Counterfactual, ...] = ()
    masks: Mapping[str, Sequence[MedicalImage]] = field(default_factory=dict)


def simulate_study(config: StudyConfig, index: int, *, is_later: bool = False) -> SimulatedStudy:
    """Make study number `index`, from 0; nothing else decides what is in it.

    Args:
        config: Of all studies.
        index: Number of the patient.
        is_later: The second study of the patient, where there are two.

    Raises:
        InputError: If the label map cannot be read.
    """
    fine = config.fine
    spacing = config.spacing / fine
    patient = generator_of(config.seed, index, "patient")
    anatomy = _anatomy(config, index, spacing)
    tissue, geometry, missing = _placed(anatomy, config, fine, patient)
    ill, visit = _ill(tissue, spacing, config, index, is_later=is_later)
    body = embody(ill.tissue, spacing=spacing, generator=patient)
    body = replace(body, overlays=tuple(one for each in ill.diseases for one in each.overlays))
    relaxation = Relaxation.textbook().varied(patient)
    facts: dict[str, Any] = {
        "synthetic": "simulated; research only, not for clinical use",
        "anatomy": anatomy.name,
        "seed": config.seed,
        "number": index,
        "missing": missing,
        **_measured(tissue, spacing),
        **visit.as_json(),
        "findings": [fact.as_json() for fact in ill.facts],
        "images": {},
    }
    images = {}
    seen = ("later",) if is_later else ()
    for name in (*(("ct",) if config.has_ct else ()), *config.contrasts):
        generator = generator_of(config.seed, index, name, *seen)
        if name == "ct":
            image, scan = _ct(body, geometry, config, generator)
        else:
            image, scan = _mri(body, geometry, config, name, relaxation, generator)
        image = turned_to_lps(image) if config.lps else image
        images[image.kind] = image
        facts["images"][str(image.kind)] = {
            "size": list(image.voxels.shape),
            "spacing_mm": [round(step, 6) for step in image.geometry.spacing],
            "orientation": image.geometry.orientation,
            **scan,
        }
    made = {kind: image for kind, image in images.items() if kind}
    technique = visit.compared(_technique(made))
    report = _report(ill.facts, technique, config, index, seen) if config.has_report else None
    changed = counterfactuals(
        ill.facts,
        rounds=config.counterfactuals,
        seed=config.seed,
        index=index,
        technique=technique,
        held_out=config.held_out,
    )
    found = masks_of(ill.facts, tissue) if config.masks else {}
    masks = {
        name: [mask_image(mask, geometry, fine, lps=config.lps)] for name, mask in found.items()
    }
    return SimulatedStudy(made, facts, report, tuple(changed), masks)


def mask_image(
    mask: Bool[Tensor, "i j k"], geometry: Geometry, fine: int, *, lps: bool = False
) -> MedicalImage:
    """A mask of the body as an image of ones and zeros.

    Args:
        mask: Not empty.
        geometry: Of the body.
        fine: How many of its voxels, a side, make one of the image; one with any of it is 1.
        lps: Store it as `turned_to_lps` does.
    """
    factors = (fine,) * 3
    coarse = F.max_pool3d(mask[None].float(), factors)[0].numpy().astype(np.uint8)
    image = MedicalImage(coarse, averaged_geometry(geometry, factors))
    return turned_to_lps(image) if lps else image


def _ill(
    tissue: UInt8[Tensor, "i j k"],
    spacing: float,
    config: StudyConfig,
    index: int,
    *,
    is_later: bool,
) -> tuple[IllHead, Visit]:
    """The patient with or without disease; what is not there is a fact where some might be."""
    generator = generator_of(config.seed, index, "disease")
    names = drawn_names(generator) if config.ill and chance(config.ill, generator) else []
    visit = single(generator)
    if config.follow_up:
        visit = visit_of(names, config.seed, index, is_later=is_later)
    ill = fallen_ill(tissue, spacing, names, visit) if names else IllHead(tissue, (), ())
    facts = (*ill.facts, *absent(NAMES, ill.facts)) if config.ill else ()
    return replace(ill, facts=facts), visit


def _technique(images: Iterable[Kind]) -> str:
    modalities = dict.fromkeys(str(kind.modality).upper() for kind in images)
    return f"{' and '.join(modalities)} of the head." if modalities else ""


def _report(
    facts: Sequence[Fact],
    technique: str,
    config: StudyConfig,
    index: int,
    seen: Sequence[str],
) -> str:
    generator = generator_of(config.seed, index, "text", *seen)
    report = report_of(facts, generator=generator, technique=technique, held_out=config.held_out)
    return report.text


def _anatomy(config: StudyConfig, index: int, spacing: float) -> Anatomy:
    if config.labels is None:
        return procedural_head(generator_of(config.seed, index, "anatomy"), spacing=spacing)
    maps = label_maps(config.labels)
    anatomy = read_anatomy(maps[index % len(maps)])
    return anatomy if config.still else without_air_below(anatomy)


def without_air_below(anatomy: Anatomy) -> Anatomy:
    """The anatomy from its lowest slice that shows any of the body."""
    lowest = int((anatomy.tissue > 0).any(0).any(0).nonzero()[0])
    return replace(anatomy, tissue=anatomy.tissue[:, :, lowest:])


def with_longer_neck(anatomy: Anatomy, length_mm: float) -> Anatomy:
    """Continue what reaches the lowest slice, so that tilting the head opens no gap.

    The anatomy grows at both ends, by neck below and air above; its middle stays.
    """
    extra = math.ceil(length_mm / anatomy.spacing[2])
    below = anatomy.tissue[:, :, :1].expand(-1, -1, extra)
    above = torch.zeros_like(below)
    return replace(anatomy, tissue=torch.cat([below, anatomy.tissue, above], dim=2))


def _placed(
    anatomy: Anatomy, config: StudyConfig, fine: int, generator: Generator
) -> tuple[UInt8[Tensor, "i j k"], Geometry, list[str]]:
    """The tissues of one patient in the scanner's field of view, where that lies, what it lacks."""
    spacing = config.spacing / fine
    low, high, missing = _field_of_view(config, generator)
    extent = [size * step for size, step in zip(anatomy.tissue.shape, anatomy.spacing, strict=True)]
    margin = 0.0 if config.still else MARGIN_MM
    size = config.size or _size(extent, config.spacing, margin, share=1 - low - high)
    height = size[2] * config.spacing / extent[2]
    if (
        config.size and height < 1 - low - high
    ):  # a small field of view shows the head, not the neck
        low, missing = 1 - high - height, sorted({*missing, "neck"})
    shape = (size[0] * fine, size[1] * fine, size[2] * fine)
    shift = (low - high) / 2 * extent[2]
    tissue = place(
        anatomy if config.still else with_longer_neck(anatomy, NECK_MM),
        shape,
        spacing=spacing,
        centre=torch.tensor([0.0, 0.0, shift]),
        generator=generator,
        config=STILL if config.still else STUDY_PLACEMENT,
    )
    affine = geometry_of(shape, spacing).affine
    affine[2, 3] += shift
    return tissue, Geometry(affine), missing


def _size(
    extent: list[float], spacing: float, margin: float, *, share: float
) -> tuple[int, int, int]:
    """Voxels that hold an anatomy, with some air beside it, and a share of its height."""
    wanted = extent[0] + margin, extent[1] + margin, extent[2] * share
    i, j, k = (max(8, round(mm / spacing)) for mm in wanted)
    return i, j, k


def _field_of_view(config: StudyConfig, generator: Generator) -> tuple[float, float, list[str]]:
    """Which share of the anatomy is left out below and above."""
    is_partial = chance(config.partial, generator)
    neck, vertex = uniform(0.15, 0.3, generator), uniform(0.06, 0.18, generator)
    if not is_partial:
        return 0.0, 0.0, []
    return (neck, 0.0, ["neck"]) if chance(0.6, generator) else (0.0, vertex, ["vertex"])


def _ct(
    body: Body, geometry: Geometry, config: StudyConfig, generator: Generator
) -> tuple[MedicalImage, dict[str, Any]]:
    fine = config.fine
    scan = CTScan(config.fwhm_mm, config.noise_hu)
    image = acquire_ct(body, geometry, scan, Averaging((fine,) * 3), generator=generator)
    return image, asdict(scan)


def _mri(
    body: Body,
    geometry: Geometry,
    config: StudyConfig,
    word: str,
    relaxation: Relaxation,
    generator: Generator,
) -> tuple[MedicalImage, dict[str, Any]]:
    contrast = None if word == ANY else Contrast(word)
    is_typical = config.protocols == "typical" and contrast is not None
    protocol = (
        TYPICAL[contrast] if is_typical and contrast else random_protocol(contrast, generator)
    )
    noise, bias = uniform(0.005, 0.03, generator), uniform(0.05, 0.25, generator)
    scan = MRIScan(
        protocol,
        fwhm_mm=config.fwhm_mm,
        noise=noise if config.noise_mri is None else config.noise_mri,
        bias=bias,
        bias_mm=uniform(60, 120, generator),
    )
    averaging = _averaging(config, tuple(body.tissue.shape), generator)
    image = acquire_mri(
        body,
        geometry,
        scan,
        averaging,
        contrast=contrast,
        tissue=relaxation,
        generator=generator,
    )
    details = asdict(scan)
    for unused in ("thickness_mm", "axis"):
        del details[unused]
    details["protocol"]["readout"] = str(protocol.readout)
    return image, details | {"slice_mm": round(image.geometry.spacing[2], 6)}


def _averaging(config: StudyConfig, shape: tuple[int, ...], generator: Generator) -> Averaging:
    """Thin slices, or thick ones: axial mostly, sagittal or coronal at times."""
    fine = config.fine
    is_thick, thickness = chance(config.thick, generator), uniform(2, 5, generator)
    axis = 2 if chance(0.6, generator) else int(uniform(0, 2, generator))
    factors = [fine] * 3
    wanted = round(thickness / (config.spacing / fine))
    if not is_thick or wanted <= fine or shape[axis] < 8 * wanted:
        return Averaging((fine,) * 3)
    factors[axis] = wanted
    return Averaging((factors[0], factors[1], factors[2]), axis)


def _measured(tissue: UInt8[Tensor, "i j k"], spacing: float) -> dict[str, Any]:
    """The head's size in mm and the tissues' volumes in ml, within the field of view."""
    counts = torch.bincount(tissue.flatten().long(), minlength=len(Tissue)) * spacing**3 / 1000
    inside = tissue > 0
    size = [_extent(inside.any(dim).any(dim_left)) * spacing for dim, dim_left in _PLANES]
    volumes = {each.name.lower(): round(float(counts[each]), 1) for each in HEAD_TISSUES if each}
    brain = sum(float(counts[each]) for each in BRAIN)
    return {
        "size_mm": [round(mm, 1) for mm in size],
        "volume_ml": volumes,
        "brain_and_fluid_ml": round(brain, 1),
    }


_PLANES = ((2, 1), (2, 0), (1, 0))  # what to reduce, in turn, to see one axis


def _extent(seen: Tensor) -> int:
    where = seen.nonzero()
    return int(where.max() - where.min() + 1) if len(where) else 0

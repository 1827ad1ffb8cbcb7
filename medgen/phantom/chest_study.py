"""A study of a chest: one made-up patient, its CT and radiograph, the report, and what is true."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from medgen.errors import UsageError
from medgen.io.image import MedicalImage
from medgen.modality import Kind, Modality, View
from medgen.phantom import projection
from medgen.phantom.acquisition import Averaging, acquire_ct, turned_to_lps
from medgen.phantom.anatomy import Anatomy, geometry_of, label_maps
from medgen.phantom.canvas import one_of
from medgen.phantom.chest import Chest
from medgen.phantom.chest_disease import heart_size
from medgen.phantom.chest_findings import LARGE_HEART, OFTEN, diseases, drawn_names
from medgen.phantom.chest_radiograph import Box, take_chest
from medgen.phantom.counterfactual import counterfactuals
from medgen.phantom.course import single, visit_of
from medgen.phantom.fact import absent, report_of
from medgen.phantom.field import chance, generator_of, uniform
from medgen.phantom.mask import masks_of
from medgen.phantom.organ import box_of
from medgen.phantom.part import LOBES
from medgen.phantom.placement import PlacementConfig, place_parts
from medgen.phantom.render import Body, CTScan, embody
from medgen.phantom.study import SimulatedStudy, mask_image
from medgen.phantom.thorax import procedural_thorax
from medgen.phantom.thorax_labels import read_thorax

CT, XRAY, TEXT = Kind(Modality.CT), Kind(Modality.XRAY), Kind(Modality.TEXT)
LATERAL = Kind(Modality.XRAY, view=View.LATERAL)
KINDS = (TEXT, XRAY, CT)
PLACEMENT = PlacementConfig(
    rotation=5, size=0.1, bend_mm=5, ripple_mm=0.8, mirror=0, is_round=True
)  # a mirrored chest is a rare disease
SUPINE = 0.25  # share of patients who lie: fluid sinks to the back, the radiograph is AP
AGENT = 0.5  # share of CTs with contrast agent


@dataclass(frozen=True)
class ChestConfig:
    """What the studies of chests are made of.

    Attributes:
        seed: Of all of them; study k is the same alone and among many.
        labels: A label map or a folder of them, taken in turn; None is the procedural chest.
        kinds: What a study has of text, X-ray and CT; those who stand may be seen from the side,
            too.
        spacing: Voxel size of the CT, mm.
        fwhm_mm: Full width at half maximum of the CT's point spread function, mm.
        noise_hu: Standard deviation of the CT's noise, HU.
        ill: Share of patients with disease.
        held_out: Write reports in the words that are kept from training.
        counterfactuals: Rounds of reports with one fact changed.
        masks: Tell where each finding is.
        follow_up: Every patient is seen twice.
        lps: Store axial slices as scanners do, left and front first.
    """

    seed: int = 0
    labels: Path | None = None
    kinds: tuple[Kind, ...] = KINDS
    spacing: float = 2.0
    fwhm_mm: float = 2.0
    noise_hu: float = 15.0
    ill: float = 0.8
    held_out: bool = False
    counterfactuals: int = 0
    masks: bool = False
    follow_up: bool = False
    lps: bool = False

    def __post_init__(self) -> None:
        if unknown := [str(kind) for kind in self.kinds if kind not in (*KINDS, LATERAL)]:
            raise UsageError(f"a simulated chest has text, xray and ct, not {', '.join(unknown)}")
        if not self.kinds:
            raise UsageError("name what to make: text, xray, ct")
        if LATERAL in self.kinds and XRAY not in self.kinds:
            raise UsageError("xray:lateral is a second view: name xray as well")
        if not 1 <= self.spacing <= 6:
            raise UsageError(f"spacing {self.spacing:g} mm: choose 1 to 6 for a chest")
        if not 0 <= self.ill <= 1:
            raise UsageError(f"a share of {self.ill:g} is ill: choose 0 to 1")
        if self.noise_hu < 0 or self.fwhm_mm < 0:
            raise UsageError("noise and fwhm are 0 or more")

    @property
    def fine(self) -> int:
        """How many fine voxels, a side, make one of the CT: ribs need 2 mm."""
        return 1 if self.spacing <= 2.5 else math.ceil(self.spacing / 2)


def simulate_chest(config: ChestConfig, index: int, *, is_later: bool = False) -> SimulatedStudy:
    """Make study number `index`, from 0; nothing else decides what is in it.

    Args:
        config: Of all studies.
        index: Number of the patient.
        is_later: The second study of the patient, where there are two.

    Raises:
        InputError: If the label map cannot be read.
    """
    patient = generator_of(config.seed, index, "patient")
    names = drawn_names(patient) if chance(config.ill, patient) else []
    is_female, age = chance(0.5, patient), round(uniform(20, 90, patient))
    is_upright = not chance(SUPINE, patient)
    spacing = config.spacing / config.fine
    is_large = bool(names) and chance(LARGE_HEART, patient)
    anatomy = _anatomy(config, index, spacing, is_large_heart=is_large, is_female=is_female)
    assert anatomy.part is not None
    chest = Chest(anatomy.tissue, anatomy.part, spacing, is_upright)
    body = embody(chest.tissue, spacing=spacing, generator=patient)
    visit = single(patient)
    if config.follow_up:
        visit = visit_of(names, config.seed, index, is_later=is_later)
    ill = list(diseases(chest, names, visit))
    body = replace(body, overlays=tuple(one for each in ill for one in each.overlays))
    facts = [fact for each in ill for fact in each.facts]
    heart = heart_size(chest)
    facts += [visit.stays(heart)] if heart else []
    facts += absent(OFTEN, facts)
    view: Literal["pa", "ap"] = "pa" if is_upright else "ap"
    found = masks_of(facts, body.tissue) if config.masks else {}
    seen = ("later",) if is_later else ()
    images, masks, details = _images(body, found, _extent(anatomy.part), config, view, index, seen)
    technique = visit.compared(f"{'PA' if view == 'pa' else 'Supine AP'} chest radiograph.")
    report = report_of(
        facts,
        generator=generator_of(config.seed, index, "text", *seen),
        technique=technique,
        held_out=config.held_out,
    )
    changed = counterfactuals(
        facts,
        rounds=config.counterfactuals,
        seed=config.seed,
        index=index,
        technique=technique,
        held_out=config.held_out,
    )
    return SimulatedStudy(
        images,
        {
            "synthetic": "simulated; research only, not for clinical use",
            "anatomy": anatomy.name,
            "seed": config.seed,
            "number": index,
            "sex": "female" if is_female else "male",
            "age_years": age,
            "posture": "upright" if is_upright else "supine",
            "view": view,
            **visit.as_json(),
            "findings": [fact.as_json() for fact in facts],
            "images": details,
        },
        report.text if TEXT in config.kinds else None,
        tuple(changed),
        masks,
    )


def _anatomy(
    config: ChestConfig, index: int, spacing: float, *, is_large_heart: bool, is_female: bool
) -> Anatomy:
    """A chest on its own grid; one of a label map is deformed into another patient's."""
    generator = generator_of(config.seed, index, "anatomy")
    if config.labels is None:
        return procedural_thorax(
            generator, spacing=spacing, is_large_heart=is_large_heart, is_female=is_female
        )
    maps = label_maps(config.labels)
    source = read_thorax(maps[index % len(maps)])
    extent = [size * step for size, step in zip(source.tissue.shape, source.spacing, strict=True)]
    i, j, k = (round(mm / spacing) for mm in extent)
    tissue, part = place_parts(
        source,
        (i, j, k),
        spacing=spacing,
        centre=torch.zeros(3),
        generator=generator,
        config=PLACEMENT,
    )
    return Anatomy(source.name, tissue, (spacing,) * 3, part)


def _images(
    body: Body,
    found: dict[str, Tensor],
    lungs: Box,
    config: ChestConfig,
    view: Literal["pa", "ap"],
    index: int,
    seen: Sequence[str],
) -> tuple[dict[Kind, MedicalImage], dict[str, list[MedicalImage]], dict[str, Any]]:
    """The images, the masks that belong to each of them, and how they were taken."""
    images: dict[Kind, MedicalImage] = {}
    masks: dict[str, list[MedicalImage]] = {name: [] for name in found}
    details: dict[str, Any] = {}
    if CT in config.kinds:
        generator = generator_of(config.seed, index, "ct", *seen)
        agent = uniform(80, 260, generator) if chance(AGENT, generator) else 0.0
        scan = CTScan(config.fwhm_mm, config.noise_hu, agent)
        i, j, k = body.tissue.shape
        geometry = geometry_of((i, j, k), body.spacing)
        averaging = Averaging((config.fine,) * 3)
        image = acquire_ct(body, geometry, scan, averaging, generator=generator)
        images[CT] = turned_to_lps(image) if config.lps else image
        details[str(CT)] = _described(images[CT]) | asdict(scan)
        for name, mask in found.items():
            masks[name].append(mask_image(mask, geometry, config.fine, lps=config.lps))
    views: dict[Kind, projection.View] = {XRAY: view} if XRAY in config.kinds else {}
    if LATERAL in config.kinds and view == "pa":  # who lies is not turned
        views[LATERAL] = "lateral"
    for kind, seen_from in views.items():
        generator = generator_of(config.seed, index, kind.slug, *seen)
        taken = take_chest(body, lungs, seen_from, generator=generator)
        images[kind] = taken.image
        details[str(kind)] = _described(taken.image) | taken.facts
        for name, mask in found.items():
            if (shade := taken.shade(mask)) is not None:
                masks[name].append(replace(images[kind], voxels=shade))
    return images, {name: of for name, of in masks.items() if of}, details


def _extent(part: Tensor) -> Box:
    """First and last voxel of the lungs along each axis."""
    across, along, up = box_of(one_of(part, list(LOBES)))
    return (across.start, across.stop - 1), (along.start, along.stop - 1), (up.start, up.stop - 1)


def _described(image: MedicalImage) -> dict[str, Any]:
    return {
        "size": list(image.voxels.shape),
        "spacing_mm": [round(step, 6) for step in image.geometry.spacing[: image.voxels.ndim]],
        "orientation": image.geometry.orientation,
    }

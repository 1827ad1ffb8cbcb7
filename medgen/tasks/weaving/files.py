"""A scan read, woven with concepts, and written with its mask and its marks, or not at all."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.io.names import check_axes
from medgen.io.provenance import Provenance
from medgen.metrics.phrases import load_phrases
from medgen.modality import FACTS
from medgen.tasks.given import Given
from medgen.tasks.reporting.images import with_kinds
from medgen.tasks.studies import report_in
from medgen.tasks.weave import Part, WeaveConfig, weave
from medgen.tasks.weaving.concept_file import LoadedConcept, check_base, check_kind, load_concept
from medgen.tasks.weaving.loom import Workshop, workshop
from medgen.tasks.weaving.output import (
    Outputs,
    Written,
    copy_scan,
    mask_path,
    report_path,
    sha256_of,
    since,
    woven_path,
    write_all,
)
from medgen.tasks.weaving.regions import Place, check_inside, region_of
from medgen.tasks.weaving.report import finding_of, updated
from medgen.tasks.weaving.woven import Woven


@dataclass(frozen=True)
class Placed:
    """A concept's file, and where it goes."""

    concept: Path
    place: Place


def write_woven(
    given: str,
    placed: Sequence[Placed],
    config: WeaveConfig,
    out: Path | None,
    *,
    report: Path | None = None,
    preview: Path | None = None,
) -> Written:
    """Weave concepts into one scan; all of its files are written, or none.

    Where no region has a voxel, the output is the scan's own bytes, with nothing beside it.

    Args:
        given: The scan, as `KIND=FILE` or `FILE`.
        placed: Concepts, and where they go.
        config: How.
        out: As `woven_path` takes it.
        report: The study's report; a copy that says what was woven is written beside the scan.
        preview: PNG to draw scan, mask, result and difference in.

    Raises:
        MedgenError: In one line: what is wrong.
    """
    started = time.perf_counter()
    if not placed:
        raise UsageError("nothing to weave; name a --concept FILE=MASK")
    scan = Given.parse(given)
    output = woven_path(scan.path, out)
    image = read_scan(scan)
    check_axes(output, image.voxels.ndim)
    mask = mask_path(output, axes=image.voxels.ndim)
    outputs = Outputs(output, mask, report_path(output) if report else None, preview)
    old = report_in(report) if report else ""
    read = [path for one in placed for path in (one.concept, *one.place.inputs)]
    outputs.check([scan.path, *read, *filter(None, [report])], overwrite=config.overwrite)
    concepts = {one.concept: load_concept(one.concept) for one in placed}
    kind = image.kind
    if kind is None:
        raise InputError(f"{scan.path}: does not say what it is; write KIND={scan.path}")
    for path, loaded in concepts.items():
        check_kind(loaded, path, kind)
    shop = workshop(config.model, kind, config.device)
    for path, loaded in concepts.items():
        check_base(loaded, path, shop.loaded.card, kind)
    parts = _parts(placed, concepts, image, config)
    card = shop.loaded.card
    about = ((sha256_of(image),), card.name, card.digest, str(shop.loaded.device))
    if not parts:
        copy_scan(scan.path, outputs, overwrite=config.overwrite)
        return Written(output, None, None, None, None, (), {}, *about, since(started))
    said = [finding_of(part.loaded.card.name, part.region, image) for part in parts if report]
    woven = weave(image, parts, config, shop)
    said = [one for at, one in enumerate(said, start=1) if (woven.labels == at).any()]
    sidecar = write_all(
        woven,
        image,
        outputs,
        Provenance("weave", card.name, card.digest, steps=config.steps),
        _details(woven, parts, image, config, shop),
        report=updated(old, said, load_phrases()) if report else "",
        overwrite=config.overwrite,
    )
    return Written(
        output,
        mask,
        sidecar,
        outputs.report,
        preview,
        woven.findings,
        {at: part.loaded.card.name for at, part in enumerate(parts, start=1)},
        *about,
        since(started),
    )


def read_scan(scan: Given) -> MedicalImage:
    """A scan with its kind.

    Raises:
        InputError: If it cannot be read, or is given as what it is not.
    """
    (image,) = with_kinds([files.read(scan.path)], [scan.kind])
    return image


def _parts(
    placed: Sequence[Placed],
    concepts: dict[Path, LoadedConcept],
    image: MedicalImage,
    config: WeaveConfig,
) -> list[Part]:
    parts = []
    for one in placed:
        region = region_of(one.place, image)
        name = str(one.place.mask or one.place.region or one.place.box or "place")
        check_inside(region, image, name, force=config.force)
        if region.any():
            parts.append(Part(concepts[one.concept], region))
    return parts


def _details(
    woven: Woven, parts: Sequence[Part], image: MedicalImage, config: WeaveConfig, shop: Workshop
) -> dict[str, object]:
    """What the sidecar says besides its marks; names no file."""
    modality = shop.kind.modality
    return {
        "Kind": str(shop.kind),
        "Unit": FACTS[modality].unit,
        "Source": {"SHA256": sha256_of(image)},
        "Labels": {str(at): part.loaded.card.name for at, part in enumerate(parts, start=1)},
        "Concepts": [
            {
                "Name": part.loaded.card.name,
                "SHA256": part.loaded.sha256,
                "Says": part.loaded.card.says,
                "Licence": part.loaded.card.licence,
                "Data": part.loaded.card.data,
            }
            for part in parts
        ],
        "Regions": [asdict(one) for one in woven.findings],
        "ChangedVoxels": int(np.count_nonzero(woven.changed)),
        "LengthUnit": "mm" if image.spacing_is_known else "pixels",
        "Fusion": config.fusion,
        "Guidance": config.push,
        "Suppression": config.suppression,
        "Injected": {
            "Features": config.features,
            "Attention": config.attention,
            "Inside": config.inside,
            "Whole": config.whole,
        },
        "Dilate": config.dilate,
        "Feather": config.feather,
        "Match": config.match,
        "Told": config.text,
    }

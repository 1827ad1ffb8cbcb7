"""A scan and others read, regions of these woven into it, and all of it written, or nothing."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from medgen.errors import UsageError
from medgen.io.image import MedicalImage
from medgen.io.names import check_axes
from medgen.io.provenance import Provenance
from medgen.modality import FACTS, Kind, Modality
from medgen.tasks.given import Given
from medgen.tasks.translate import Maker
from medgen.tasks.weaving.files import read_scan
from medgen.tasks.weaving.from_scans import Lent, Other, WithConfig, fuse, lent, on_voxels_of
from medgen.tasks.weaving.output import (
    Outputs,
    Written,
    copy_scan,
    mask_path,
    sha256_of,
    since,
    woven_path,
    write_all,
)
from medgen.tasks.weaving.regions import Place, check_inside, region_of
from medgen.tasks.weaving.woven import Woven

NOBODY = Maker("resampling")  # of scans of one kind, which no model has to translate


@dataclass(frozen=True)
class Lender:
    """Another scan and the mask of what it lends.

    Attributes:
        scan: With its kind, if that was said.
        mask: On the other scan's voxels, or another grid of its world.
    """

    scan: Given
    mask: Path

    @classmethod
    def parse(cls, word: str) -> "Lender":
        """Read `FILE=MASK` or `KIND=FILE=MASK`.

        Raises:
            UsageError: If there is no mask, or the kind is none.
        """
        scan, equals, mask = word.rpartition("=")
        if not equals or not mask or (_is_kind(scan) and not Path(scan).exists()):
            raise UsageError(f"--with {word}: says no mask; write {word}=MASK")
        return cls(Given.parse(scan), Path(mask))


def _is_kind(word: str) -> bool:
    try:
        Kind.parse(word)
    except UsageError:
        return False
    return True


def write_woven_with(
    given: str,
    lenders: Sequence[Lender],
    config: WithConfig,
    out: Path | None,
    *,
    preview: Path | None = None,
) -> Written:
    """Weave regions of other scans into one; all files are written, or none.

    Where no region has a voxel, the output is the scan's own bytes, with nothing beside it.

    Args:
        given: The scan, as `KIND=FILE` or `FILE`.
        lenders: The other scans, in the same world.
        config: How.
        out: As `woven_path` takes it.
        preview: PNG to draw the scan, the first other one, the result and the difference in.

    Raises:
        MedgenError: In one line: what is wrong.
    """
    started = time.perf_counter()
    scan = Given.parse(given)
    output = woven_path(scan.path, out)
    image = _volume(read_scan(scan))
    check_axes(output, image.voxels.ndim)
    outputs = Outputs(output, mask_path(output, axes=image.voxels.ndim), preview=preview)
    read = [path for one in lenders for path in (one.scan.path, one.mask)]
    outputs.check([scan.path, *read], overwrite=config.overwrite)
    others = [_other(one) for one in lenders]
    parts = [_lent(one, image, config) for one in others if one.region.any()]
    sources = (sha256_of(image), *(sha256_of(one.image) for one in others))
    maker = next((one.maker for one in parts if one.maker), NOBODY)
    about = (sources, maker.name, maker.sha256, maker.device)
    if not parts:
        copy_scan(scan.path, outputs, overwrite=config.overwrite)
        return Written(output, None, None, None, None, (), {}, *about, since(started))
    woven = fuse(image, parts, config)
    sidecar = write_all(
        woven,
        image,
        outputs,
        Provenance("weave", maker.name, maker.sha256),
        _details(woven, parts, image, config),
        lender=on_voxels_of(image, parts[0].plain) if preview else None,
        overwrite=config.overwrite,
    )
    names = {at: one.name for at, one in enumerate(parts, start=1)}
    paths = (output, outputs.mask, sidecar, None, preview)
    return Written(*paths, woven.findings, names, *about, since(started))


def _other(lender: Lender) -> Other:
    """Another scan and its region, which may be empty.

    Raises:
        InputError: If a file cannot be read, or the mask is of another place than its scan.
        UsageError: If it is a radiograph.
    """
    other = _volume(read_scan(lender.scan))
    return Other(other, region_of(Place(mask=lender.mask), other))


def _volume(image: MedicalImage) -> MedicalImage:
    """The image; raises UsageError if it is a radiograph."""
    if image.kind is None or image.kind.modality is Modality.XRAY:
        path = image.source.path if image.source else "image"
        raise UsageError(f"{path}: is a radiograph; --with weaves volumes into volumes")
    return image


def _lent(other: Other, image: MedicalImage, config: WithConfig) -> Lent:
    part = lent(other, image, config)
    path = other.image.source.path if other.image.source else Path("other scan")
    check_inside(part.region, image, str(path), force=config.force)
    return part


def _details(
    woven: Woven, parts: Sequence[Lent], image: MedicalImage, config: WithConfig
) -> dict[str, object]:
    """What the sidecar says besides its marks; names no file."""
    return {
        "Kind": str(image.kind),
        "Unit": FACTS[parts[0].target.modality].unit,
        "Source": {"SHA256": sha256_of(image)},
        "Labels": {str(at): part.name for at, part in enumerate(parts, start=1)},
        "With": [
            {
                "Kind": str(part.kind),
                "Unit": FACTS[part.kind.modality].unit,
                "As": str(part.target),
                "SHA256": part.sha256,
                "Look": asdict(part.look),
                "TranslatedBy": part.maker.name if part.maker else None,
            }
            for part in parts
        ],
        "Regions": [asdict(one) for one in woven.findings],
        "ChangedVoxels": int(np.count_nonzero(woven.changed)),
        "LengthUnit": "mm",
        "Dilate": config.dilate,
        "Feather": config.feather,
    }

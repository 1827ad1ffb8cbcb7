"""Pictures for people: source beside result in three planes, or many radiographs on one sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from medgen.io.atomic import atomic_file
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.io.upright import upright
from medgen.modality import Modality

PANEL, GAP, LEGEND, TITLE = 280, 6, 74, 18  # pixels
CT_WINDOW = (-200.0, 800.0)  # HU: fat to dense bone


@dataclass(frozen=True)
class Shown:
    """Grey levels of an image: what is black, what is white, and in which unit."""

    low: float
    high: float
    unit: str


def write_preview(
    source: MedicalImage,
    result: MedicalImage,
    path: Path,
    *,
    provenance: Provenance,
    sigma: MedicalImage | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw source and result on one grid: axial, coronal and sagittal through the middle.

    Args:
        source: What was translated.
        result: What was made of it.
        path: PNG to write.
        provenance: Goes into the PNG's text.
        sigma: The result's uncertainty, if there is one.
        overwrite: Replace an existing file.

    Raises:
        OutputError: If it exists or cannot be written.
    """
    rows = [
        draw_row(source, shown(source), f"{source.kind or 'image'}, source"),
        draw_row(result, shown(result), f"{result.kind or 'image'}, synthetic"),
    ]
    if sigma is not None:
        bright = Shown(0.0, _bright(sigma), shown(result).unit)
        rows.append(draw_row(sigma, bright, "sigma: one standard deviation"))
    return _saved(np.concatenate(rows, axis=0), path, provenance, overwrite=overwrite)


def write_sheet(
    images: Sequence[MedicalImage],
    path: Path,
    *,
    provenance: Provenance,
    overwrite: bool = False,
) -> Path:
    """Draw images on one sheet: radiographs as near to a square as they come, volumes in rows.

    Args:
        images: At least one, all of one kind; each radiograph from its darkest to its brightest
            pixel, each volume in three planes.
        path: PNG to write.
        provenance: Goes into the PNG's text.
        overwrite: Replace an existing file.

    Raises:
        OutputError: If it exists or cannot be written.
    """
    if images[0].voxels.ndim == 3:
        drawn = [draw_row(one, shown(one), f"{one.kind}, synthetic") for one in images]
        return _saved(np.concatenate(drawn), path, provenance, overwrite=overwrite)
    columns = math.ceil(math.sqrt(len(images)))
    blank = np.zeros((PANEL, PANEL), np.uint8)
    panels = [panel(_spread(one.voxels), (1.0, 1.0)) for one in images]
    panels += [blank] * (-len(panels) % columns)
    rows = [np.concatenate(panels[at : at + columns], 1) for at in range(0, len(panels), columns)]
    return _saved(np.concatenate(rows), path, provenance, overwrite=overwrite)


def write_woven_preview(
    scan: MedicalImage,
    mask: Shaped[np.ndarray, "*space"],
    woven: MedicalImage,
    path: Path,
    *,
    provenance: Provenance,
    overwrite: bool = False,
) -> Path:
    """Draw a scan, where something was woven into it, the result, and what it changes.

    Args:
        scan: As it was; of a volume, the axial plane is drawn that has most of the mask.
        mask: Not 0 where something was woven.
        woven: What became of the scan, on its voxels.
        path: PNG to write.
        provenance: Goes into the PNG's text.
        overwrite: Replace an existing file.

    Raises:
        OutputError: If it exists or cannot be written.
    """
    before, where, after, pixel_mm = _planes_of(scan, mask, woven)
    spread = Shown(float(before.min()), float(before.max()), "grey")
    window = shown(scan) if scan.voxels.ndim == 3 else spread
    reach = max(window.high - window.low, 1e-6)
    change = after - before
    grey = ((change / max(2 * np.abs(change).max(), 1e-6)) + 0.5).clip(0, 1)
    drawn = [(one - window.low) / reach for one in (before, after)]
    shares = [drawn[0], where / max(where.max(), 1), drawn[1], grey]
    gap = np.zeros((PANEL, GAP), np.uint8)
    panels = [panel(one.clip(0, 1), pixel_mm) for one in shares]
    row = np.concatenate([part for one in panels for part in (one, gap)], axis=1)
    return _saved(row, path, provenance, overwrite=overwrite)


def _planes_of(
    scan: MedicalImage, mask: Shaped[np.ndarray, "*space"], woven: MedicalImage
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, float]]:
    """Scan, mask and woven scan in one plane as it is looked at, and the size of its pixels."""
    arrays = [each.astype(np.float32) for each in (scan.voxels, mask, woven.voxels)]
    if scan.voxels.ndim == 2:
        row, column, _ = scan.geometry.spacing
        return arrays[0], arrays[1], arrays[2], (row, column)
    turned = [upright(each, scan.geometry) for each in arrays]
    k = int(np.count_nonzero(turned[1][0], axis=(0, 1)).argmax())
    x, y, _ = turned[0][1]
    before, where, after = (each[::-1, ::-1, k].T for each, _ in turned)
    return before, where, after, (y, x)


def _spread(voxels: Shaped[np.ndarray, "row column"]) -> Shaped[np.ndarray, "row column"]:
    low, high = float(voxels.min()), float(voxels.max())
    return (voxels.astype(np.float32) - low) / max(high - low, 1e-6)


def _saved(
    picture: UInt8[np.ndarray, "..."], path: Path, provenance: Provenance, *, overwrite: bool
) -> Path:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Description", provenance.sentence)
    notes.add_text("Synthetic", "yes")
    with atomic_file(path, overwrite=overwrite) as draft:
        Image.fromarray(picture).save(draft, format="PNG", pnginfo=notes)
    return path


def shown(image: MedicalImage) -> Shown:
    """The window of an image: bone for CT, up to the 99.5th percentile for MRI."""
    if image.kind and image.kind.modality is Modality.CT:
        return Shown(*CT_WINDOW, "HU")
    return Shown(0.0, _bright(image), "a.u.")


def _bright(image: MedicalImage) -> float:
    """The 99.5th percentile of about a million voxels; never 0."""
    voxels = image.voxels.ravel(order="K")[:: max(1, image.voxels.size // 1_000_000)]
    return max(float(np.percentile(voxels, 99.5)), 1e-6)


def draw_row(image: MedicalImage, window: Shown, title: str) -> UInt8[np.ndarray, "row column 3"]:
    """Three planes of one image, its title above and its grey scale at the right."""
    panels = []
    for plane, mm in planes(image.voxels, image.geometry):
        scaled = (plane.astype(np.float32) - window.low) / (window.high - window.low)
        panels.append(panel(scaled.clip(0, 1), mm))
    legend = np.zeros((PANEL, LEGEND), np.uint8)
    bar = np.linspace(255, 0, PANEL - 40).astype(np.uint8)
    legend[20 : PANEL - 20, 8:24] = bar[:, None]
    gap = np.zeros((PANEL, GAP), np.uint8)
    row = np.concatenate([part for p in panels for part in (p, gap)] + [legend], axis=1)
    canvas = Image.fromarray(np.pad(row, ((TITLE, GAP), (0, 0)))).convert("RGB")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    right = row.shape[1] - LEGEND + 28
    draw.text((4, 2), title, fill=(255, 255, 255), font=font)
    for share, y in ((1.0, 18), (0.5, PANEL / 2 - 6), (0.0, PANEL - 30)):
        value = window.low + share * (window.high - window.low)
        draw.text((right, y + TITLE), f"{value:.4g}", fill=(255, 255, 255), font=font)
    draw.text((right - 20, PANEL + 2), window.unit, fill=(255, 255, 255), font=font)
    return np.asarray(canvas)


def planes(
    voxels: Shaped[np.ndarray, "i j k"], geometry: Geometry
) -> list[tuple[Shaped[np.ndarray, "row column"], tuple[float, float]]]:
    """Axial, coronal and sagittal through the middle, as radiologists look at them.

    Returns:
        For each plane its pixels (rows from anterior or superior, columns from the patient's
        right or anterior) and the size of a pixel (row, column) in mm.
    """
    ras, (x, y, z) = upright(voxels, geometry)
    i, j, k = (size // 2 for size in ras.shape)
    return [
        (ras[::-1, ::-1, k].T, (y, x)),
        (ras[::-1, j, ::-1].T, (z, x)),
        (ras[i, ::-1, ::-1].T, (z, y)),
    ]


def panel(
    plane: Shaped[np.ndarray, "row column"], pixel_mm: tuple[float, float]
) -> UInt8[np.ndarray, "side side"]:
    """A plane scaled to fit a square, its proportions those of the body."""
    height, width = plane.shape[0] * pixel_mm[0], plane.shape[1] * pixel_mm[1]
    zoom = PANEL / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    grey = Image.fromarray((plane * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    square = Image.new("L", (PANEL, PANEL))
    square.paste(grey, ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    return np.asarray(square)

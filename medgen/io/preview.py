"""Pictures for people: source beside result in three planes, or many radiographs on one sheet."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont, PngImagePlugin

from medgen.io.atomic import atomic_file
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.io.upright import upright
from medgen.modality import Modality

PANEL, GAP, LEGEND, TITLE = 280, 6, 74, 18  # pixels
CT_WINDOW = (-200.0, 800.0)  # HU: fat to dense bone
OUTLINE = (255, 160, 0)  # orange: no grey, and seen by the colour-blind


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
    return saved(np.concatenate(rows, axis=0), path, provenance, overwrite=overwrite)


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
        return saved(np.concatenate(drawn), path, provenance, overwrite=overwrite)
    columns = math.ceil(math.sqrt(len(images)))
    blank = np.zeros((PANEL, PANEL), np.uint8)
    panels = [panel(spread(one.voxels), (1.0, 1.0)) for one in images]
    panels += [blank] * (-len(panels) % columns)
    rows = [np.concatenate(panels[at : at + columns], 1) for at in range(0, len(panels), columns)]
    return saved(np.concatenate(rows), path, provenance, overwrite=overwrite)


def write_woven_preview(
    scan: MedicalImage,
    mask: Shaped[np.ndarray, "*space"],
    woven: MedicalImage,
    path: Path,
    *,
    provenance: Provenance,
    lender: MedicalImage | None = None,
    overwrite: bool = False,
) -> Path:
    """Draw a scan, where something was woven into it, the result, and what it changes.

    With a lender, scan and lender are drawn with the outline of the mask, in place of the mask.

    Args:
        scan: As it was; of a volume, the axial plane is drawn that has most of the mask.
        mask: Not 0 where something was woven.
        woven: What became of the scan, on its voxels.
        path: PNG to write.
        provenance: Goes into the PNG's text.
        lender: Another volume, on the scan's voxels, of which a region was woven.
        overwrite: Replace an existing file.

    Raises:
        OutputError: If it exists or cannot be written.
    """
    volumes = [scan.voxels, woven.voxels, *([lender.voxels] if lender else [])]
    (where, before, after, *lent), pixel_mm = _planes_of(mask, volumes, scan.geometry)
    spread = Shown(float(before.min()), float(before.max()), "grey")
    window = shown(scan) if scan.voxels.ndim == 3 else spread
    change = after - before
    grey = ((change / max(2 * np.abs(change).max(), 1e-6)) + 0.5).clip(0, 1)
    first, third = (panel(_scaled(one, window), pixel_mm) for one in (before, after))
    second = panel(where / max(where.max(), 1), pixel_mm)
    if lender:
        edge = _edge(panel((where > 0).astype(np.float32), pixel_mm))
        first = _outlined(first, edge)
        second = _outlined(panel(_scaled(lent[0], shown(lender)), pixel_mm), edge)
    row = _row([first, second, third, panel(grey, pixel_mm)])
    return saved(row, path, provenance, overwrite=overwrite)


def _planes_of(
    mask: Shaped[np.ndarray, "*space"],
    volumes: Sequence[Shaped[np.ndarray, "*space"]],
    geometry: Geometry,
) -> tuple[list[np.ndarray], tuple[float, float]]:
    """A mask and what it belongs to in one plane as it is looked at, and the size of its pixels."""
    arrays = [each.astype(np.float32) for each in (mask, *volumes)]
    if mask.ndim == 2:
        row, column, _ = geometry.spacing
        return arrays, (row, column)
    turned = [upright(each, geometry)[0] for each in arrays]
    x, y, _ = upright(arrays[0], geometry)[1]
    k = int(np.count_nonzero(turned[0], axis=(0, 1)).argmax())
    return [each[::-1, ::-1, k].T for each in turned], (y, x)


def _scaled(plane: np.ndarray, window: Shown) -> np.ndarray:
    """Black is 0 and white is 1."""
    scaled: np.ndarray = (plane - window.low) / max(window.high - window.low, 1e-6)
    return scaled.clip(0, 1)


def _edge(inside: UInt8[np.ndarray, "side side"]) -> Shaped[np.ndarray, "side side"]:
    """The pixels of a drawn mask that are beside others."""
    there = inside > 127
    grown = Image.fromarray(there.astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    return (np.asarray(grown) > 0) & ~there


def _outlined(
    grey: UInt8[np.ndarray, "side side"], edge: Shaped[np.ndarray, "side side"]
) -> UInt8[np.ndarray, "side side 3"]:
    """A panel in colours, in which some pixels are those of an outline."""
    coloured = np.repeat(grey[..., None], 3, axis=-1)
    coloured[edge] = OUTLINE
    return coloured


def _row(panels: Sequence[UInt8[np.ndarray, "..."]]) -> UInt8[np.ndarray, "..."]:
    """Panels side by side; all are coloured as soon as one of them is."""
    if any(one.ndim == 3 for one in panels):
        panels = [one if one.ndim == 3 else np.repeat(one[..., None], 3, -1) for one in panels]
    gap = np.zeros((PANEL, GAP, *panels[0].shape[2:]), np.uint8)
    return np.concatenate([part for one in panels for part in (one, gap)], axis=1)


def spread(voxels: Shaped[np.ndarray, "row column"]) -> Shaped[np.ndarray, "row column"]:
    """A radiograph from 0, its darkest pixel, to 1, its brightest."""
    low, high = float(voxels.min()), float(voxels.max())
    return (voxels.astype(np.float32) - low) / max(high - low, 1e-6)


def saved(
    picture: UInt8[np.ndarray, "..."], path: Path, provenance: Provenance, *, overwrite: bool
) -> Path:
    """Write a picture as PNG, with how it was made, and that it is synthetic, in its text.

    Raises:
        OutputError: If it exists or cannot be written.
    """
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
    plane: Shaped[np.ndarray, "row column"], pixel_mm: tuple[float, float], side: int = PANEL
) -> UInt8[np.ndarray, "side side"]:
    """A plane scaled to fit a square of so many pixels, its proportions those of the body."""
    height, width = plane.shape[0] * pixel_mm[0], plane.shape[1] * pixel_mm[1]
    zoom = side / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    grey = Image.fromarray((plane * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    square = Image.new("L", (side, side))
    square.paste(grey, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.asarray(square)

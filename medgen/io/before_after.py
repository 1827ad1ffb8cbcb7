"""A sheet for a patient: a picture that was given, what a computer made of it, and plain words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from medgen.io.image import MedicalImage
from medgen.io.preview import panel, planes, saved, shown, spread
from medgen.io.provenance import Provenance

SIDE, MARGIN, LINE, BANNER = 420, 24, 24, 30  # pixels
TITLE_SIZE, TEXT_SIZE = 22, 17
INK, PAPER, RED = (20, 20, 20), (255, 255, 255), (176, 32, 32)
MADE_UP = "MADE BY A COMPUTER"


def write_before_after(
    before: MedicalImage,
    after: MedicalImage,
    path: Path,
    *,
    titles: tuple[str, str],
    words: Sequence[str],
    provenance: Provenance,
    overwrite: bool = False,
) -> Path:
    """Draw two pictures side by side, the second one marked as made up, and words below.

    Args:
        before: What was given; of a volume, the plane through its middle that is seen from the
            front.
        after: What was made.
        path: PNG to write.
        titles: Above each.
        words: Paragraphs below both.
        provenance: Goes into the PNG's text.
        overwrite: Replace an existing file.

    Raises:
        OutputError: If it exists or cannot be written.
    """
    width = 2 * SIDE + 3 * MARGIN
    font = ImageFont.load_default(TEXT_SIZE)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = [line for one in words for line in [*_wrapped(one, pen, font, width - 2 * MARGIN), ""]]
    top, below = MARGIN + 2 * LINE, MARGIN + 2 * LINE + SIDE
    start = below + BANNER + MARGIN
    sheet = Image.new("RGB", (width, start + LINE * len(lines)), PAPER)
    draw, large = ImageDraw.Draw(sheet), ImageFont.load_default(TITLE_SIZE)
    for left, image, title in zip(
        (MARGIN, SIDE + 2 * MARGIN), (before, after), titles, strict=True
    ):
        draw.text((left, MARGIN), title, fill=INK, font=large)
        sheet.paste(Image.fromarray(_picture(image)), (left, top))
    draw.rectangle((left, below, left + SIDE - 1, below + BANNER - 1), fill=RED)
    draw.text((left + 10, below + 5), MADE_UP, fill=PAPER, font=font)
    for at, line in enumerate(lines):
        draw.text((MARGIN, start + at * LINE), line, fill=INK, font=font)
    return saved(np.asarray(sheet), path, provenance, overwrite=overwrite)


def _picture(image: MedicalImage) -> np.ndarray:
    if image.voxels.ndim == 2:
        return panel(spread(image.voxels), (1.0, 1.0), SIDE)
    _, (plane, pixel_mm), _ = planes(image.voxels, image.geometry)
    window = shown(image)
    scaled = (plane.astype(np.float32) - window.low) / (window.high - window.low)
    return panel(scaled.clip(0, 1), pixel_mm, SIDE)


def _wrapped(
    text: str,
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    width: int,
) -> list[str]:
    """Lines of whole words, none wider than so many pixels unless a word is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and pen.textlength(longer, font=font) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines

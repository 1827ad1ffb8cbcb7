"""A radiograph that was changed as it is shown, in its own file's stored values and display."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from pydicom.dataset import Dataset

from medgen.io.dicom.identity import header_of
from medgen.io.dicom.marking import decimals
from medgen.io.dicom.parse import damage_refused, parse
from medgen.io.dicom.pixels import PIXEL_KEYWORDS, PixelForm, pixel_form, stored_frames
from medgen.io.dicom.radiograph import DISPLAY_KEYWORDS, rescale, shown, window_of
from medgen.io.image import MedicalImage

MAX_LISTED = 16  # bits: of more, only the values that the radiograph has are looked at
OUR_SHAPES = ("LINEAR_EXACT", "SIGMOID")  # of a window; any other is LINEAR, the usual one
Stored = Shaped[np.ndarray, "row column"]


@dataclass(frozen=True)
class OwnGrey:
    """What a radiograph's file stores, and how that is shown.

    Attributes:
        values: Stored values.
        form: What the file says about them.
        display: The attributes that map them to grey levels; no free text.
    """

    values: Stored
    form: PixelForm
    display: Dataset

    @property
    def is_plain(self) -> bool:
        """Whether what is stored is grey levels already, as digital X-ray for display must be."""
        words = ("ModalityLUTSequence", "RescaleSlope")
        is_short = self.form.bits <= MAX_LISTED and not self.form.is_signed
        return is_short and not any(word in self.display for word in words)


def own_grey(image: MedicalImage) -> OwnGrey | None:
    """Find the stored values that show a radiograph's grey levels.

    Where these did not change since they were read, what was stored stays. Elsewhere it is the
    value that is shown nearest to the grey level, within the range of what the file stores; of
    several that are shown alike, the one nearest to what was stored.

    Args:
        image: In grey levels as `read_radiograph` gives them, some of which may have changed.

    Returns:
        None where it was not read from a DICOM radiograph.

    Raises:
        InputError: If the file is not there any more, or has been damaged.
    """
    header = header_of(image)
    if header is None or header.affine is not None or image.source is None:
        return None
    path, frame = image.source.path, header.instances[0].frame or 1
    form = pixel_form(path, parse(path, PIXEL_KEYWORDS))
    display = parse(path, DISPLAY_KEYWORDS)
    stored = next(stored_frames(path, form, [frame - 1])).copy()
    before = shown(path, stored, form, display)
    changed = before != image.voxels
    if form.bits <= MAX_LISTED:
        choices = np.arange(int(stored.min()), int(stored.max()) + 1).astype(stored.dtype)
    else:
        choices = np.unique(stored)
    greys = shown(path, choices[None], form, display)[0]
    stored[changed] = _nearest(choices, greys, stored[changed], image.voxels[changed])
    return OwnGrey(stored, form, _without_text(path, display))


def _nearest(
    choices: Shaped[np.ndarray, "choices"],
    greys: Shaped[np.ndarray, "choices"],
    stored: Shaped[np.ndarray, "pixels"],
    wanted: Shaped[np.ndarray, "pixels"],
) -> Shaped[np.ndarray, "pixels"]:
    """The choice whose grey level is nearest to each wanted one.

    Args:
        choices: Increasing.
        greys: What each of them is shown as.
        stored: What was there; it decides between choices that are shown alike.
        wanted: Grey levels.
    """
    levels, first = np.unique(greys, return_index=True)
    last = len(greys) - 1 - np.unique(greys[::-1], return_index=True)[1]
    middles = (levels[1:].astype(np.float64) + levels[:-1]) / 2
    at = np.searchsorted(middles, wanted)
    old, low, high = (
        each.astype(np.int64) for each in (stored, choices[first[at]], choices[last[at]])
    )
    is_shown_so = levels[at] == greys[np.searchsorted(choices, stored)]
    nearer = np.where(np.abs(old - low) <= np.abs(old - high), low, high)
    return np.where(is_shown_so, old, nearer).astype(stored.dtype)


def _without_text(path: Path, display: Dataset) -> Dataset:
    """What maps stored values to grey levels, as `shown` understands it, and nothing else."""
    made = Dataset()
    with damage_refused(path):
        if display.get("ModalityLUTSequence"):
            made.ModalityLUTSequence = [_table(display.ModalityLUTSequence[0])]
            made.ModalityLUTSequence[0].ModalityLUTType = "US"
        elif (steps := rescale(display)) != (1, 0):
            made.RescaleSlope, made.RescaleIntercept = decimals(steps)
            made.RescaleType = "US"
        if display.get("VOILUTSequence"):
            made.VOILUTSequence = [_table(display.VOILUTSequence[0])]
            return made
    if window := window_of(path, display):
        made.WindowCenter, made.WindowWidth = decimals(window[:2])
        if window[2] in OUR_SHAPES:
            made.VOILUTFunction = window[2]
    return made


def _table(said: Dataset) -> Dataset:
    table = Dataset()
    for keyword in ("LUTDescriptor", "LUTData"):
        table.add(said[keyword])
    return table

"""The images of a study that is reported: how many there may be, and what each of them is."""

from collections.abc import Sequence
from dataclasses import replace

from medgen.errors import InputError, UsageError
from medgen.io.image import MedicalImage
from medgen.modality import FACTS, Kind, Modality
from medgen.tasks.preflight import looks_like_ct

MOST = 8  # images of one study


def with_kinds(images: Sequence[MedicalImage], stated: Sequence[Kind | None]) -> list[MedicalImage]:
    """The images of one study, each with a kind that its file does not contradict.

    Args:
        images: As they were read.
        stated: What the user says that each is; None asks the file, then the numbers.

    Raises:
        InputError: If one is given as what it is not.
        UsageError: If there are none, or more than `MOST`.
    """
    if not 1 <= len(images) <= MOST:
        raise UsageError(f"{len(images)} images: a report is of 1 to {MOST} of one study")
    return [_with_kind(one, kind) for one, kind in zip(images, stated, strict=True)]


def _with_kind(image: MedicalImage, stated: Kind | None) -> MedicalImage:
    name = image.source.path if image.source else "image"
    axes = image.voxels.ndim
    if stated and axes != FACTS[stated.modality].axes:
        what = "a volume" if axes == 3 else "a radiograph"
        raise InputError(f"{name}: is given as {stated} but is {what}; leave out {stated}=")
    if stated and image.kind and image.kind.modality is not stated.modality:
        raise InputError(f"{name}: is given as {stated} but its file says {image.kind}")
    is_ct = axes == 3 and looks_like_ct(image)
    if stated and axes == 3 and (stated.modality is Modality.CT) != is_ct:
        raise InputError(f"{name}: is given as {stated}, which its numbers contradict")
    volume = Modality.CT if is_ct else Modality.MRI
    guess = Kind(volume if axes == 3 else Modality.XRAY)
    return replace(image, kind=stated or image.kind or guess)

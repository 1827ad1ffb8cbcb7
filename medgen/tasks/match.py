"""Which prediction belongs to which truth, and which mask: by file name, folder or manifest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medgen.errors import InputError, UsageError
from medgen.modality import WORDS, Kind, Modality
from medgen.tasks.batch import Item, collect

SLUGS = {Kind.parse(word).slug for word in WORDS} | {"mask"}


@dataclass(frozen=True)
class Match:
    """What is compared with what.

    Attributes:
        name: Of the study.
        patient: Whose it is; the study's name where no manifest says it.
        pred: File or DICOM folder.
        truth: File or DICOM folder.
        mask: File; None if none was given.
    """

    name: str
    patient: str
    pred: Path
    truth: Path
    mask: Path | None = None


@dataclass(frozen=True)
class Matches:
    """The pairs, and the truths that nothing was predicted for."""

    pairs: list[Match]
    without_prediction: list[str]


def match(pred: Path, truth: Path, mask: Path | None, modality: Modality) -> Matches:
    """Pair predictions with truths.

    Each of the three is a file, a DICOM folder, a folder of them, or a manifest. One prediction
    and one truth are a pair whatever their names. Of many, those with the same name are
    (`head/t2.nii.gz`, `head/t2.nii`); else those of the same study, which is what remains of a
    name without its kind: `p1_ct.nii.gz`, `p1/ct.nii.gz` and `p1.nii` are of study `p1`.

    Args:
        pred: What was made.
        truth: What it should be.
        mask: Where to compare; one image is for all truths, a folder has one for each.
        modality: Which images of a study count, where a folder or a manifest has several.

    Raises:
        InputError: If nothing fits, or a prediction has no truth, or a truth no mask.
        UsageError: If several predictions fit one truth.
    """
    preds, truths = (_items(path, modality) for path in (pred, truth))
    truths = _one_a_study(truths, str(modality))
    masks = _one_a_study(_items(mask, None), "mask") if mask else None
    if len(preds) == len(truths) == 1:
        return Matches([_matched(preds[0], truths[0], masks, is_for_all=True)], [])
    taken = {item.name for item in preds} & {item.name for item in truths}
    rest = [item for item in preds if item.name not in taken and not _is_extra(item)]
    found = [
        (item, _partner(item, preds if item.name in taken else rest, "prediction"))
        for item in truths
    ]
    _require_all_used(rest, [(made, item) for item, made in found if made], truth)
    is_for_all = masks is not None and masks[0].path == mask  # a file, or one DICOM folder
    pairs = [_matched(made, item, masks, is_for_all=is_for_all) for item, made in found if made]
    if not pairs:
        raise InputError(f"{pred}: has no truth in {truth}; give both files the same name")
    return Matches(pairs, [item.name for item, made in found if not made])


def study_of(name: str) -> str:
    """The study that a result's name speaks of.

    A bare kind names no study of its own: it is an image of the folder's.

    Example:
        >>> study_of("p1_ct"), study_of("p1/mr_t1_ct"), study_of("p1"), study_of("ct")
        ('p1', 'p1', 'p1', '')
    """
    folder, _, last = name.rpartition("/")
    if folder or last in SLUGS:
        return folder
    stem, _, slug = last.rpartition("_")
    return stem if stem and slug in SLUGS else last


def _items(path: Path, modality: Modality | None) -> list[Item]:
    """The images at a path; those of a manifest's studies one by one."""
    items: list[Item] = []
    for item in collect([path]):
        if item.study is None:
            items.append(item)
        elif modality is None:
            raise UsageError(f"{path}: a manifest has no masks; give a folder with their files")
        else:
            items += [
                replace(item, name=f"{item.name}_{kind.slug}", path=file)
                for kind, file in item.study.images.items()
                if kind.modality is modality
            ]
    if not items:
        raise InputError(f"{path}: has no {modality} image; give another manifest or --protocol")
    return items


def _one_a_study(items: Sequence[Item], word: str) -> list[Item]:
    """Where a study's folder has a file called `ct`, leave out its MRI and what else is there."""
    named = [item for item in items if item.name.rpartition("/")[2] == word]
    plain = {study_of(item.name) for item in named}
    return [item for item in items if item in named or study_of(item.name) not in plain]


def _require_all_used(preds: Sequence[Item], found: Sequence[tuple[Item, Item]], of: Path) -> None:
    """Every prediction has one truth: none is left out of the figures, none counts twice."""
    for made in preds:
        fitting = [truth for partner, truth in found if partner.path == made.path]
        if not fitting:
            raise InputError(f"{made.path}: has no truth in {of}; give both files the same name")
        if len(fitting) > 1:
            names = " and ".join(str(item.path) for item in fitting[:2])
            raise UsageError(f"{made.path}: fits both {names}; give both files the same name")


def _partner(item: Item, others: Iterable[Item], what: str) -> Item | None:
    """The item of the same name, else the only one of the same study."""
    others = list(others)
    for other in others:
        if other.name == item.name:
            return other
    fitting = [other for other in others if study_of(other.name) == study_of(item.name)]
    if len(fitting) > 1:
        names = " and ".join(str(other.path) for other in fitting[:2])
        raise UsageError(f"{names}: both fit {item.path}; give a folder with one {what} a study")
    return fitting[0] if fitting else None


def _is_extra(item: Item) -> bool:
    """What `translate` writes beside a result."""
    return item.name.endswith(("_sigma", "_preview"))


def _matched(made: Item, truth: Item, masks: Sequence[Item] | None, *, is_for_all: bool) -> Match:
    mask = None
    if masks is not None:
        mask = masks[0] if is_for_all and len(masks) == 1 else _partner(truth, masks, "mask")
        if mask is None:
            study = study_of(truth.name) or truth.name
            raise InputError(f"{truth.path}: has no mask; name it '{study}_mask.nii.gz'")
    name = study_of(truth.name) or truth.name
    patient = truth.study.patient if truth.study else name
    return Match(name, patient, made.path, truth.path, mask.path if mask else None)

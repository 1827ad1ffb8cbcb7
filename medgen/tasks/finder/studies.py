"""The studies that a finder learns from, read into memory."""

from pathlib import Path

import torch

from medgen.data.manifest import read_manifest
from medgen.data.masks import mask_files
from medgen.data.study import Split, Study
from medgen.data.view_cache import cached_mask, cached_view
from medgen.errors import MedgenError, UsageError
from medgen.metrics.phrases import Phrases, load_phrases
from medgen.modality import FACTS, Kind
from medgen.tasks.facts import study_facts
from medgen.tasks.finder.config import FinderTrainConfig
from medgen.tasks.finder.items import FinderImage, FinderStudy
from medgen.tasks.memory import give_back_large_arrays
from medgen.tasks.unreadable import Unreadable

HELD_BACK = 10  # every so many-th patient calibrates the answers and is not learned from
USES = {Split.TRAIN: "train on", Split.VALIDATION: "calibrate with"}


def finder_studies(
    config: FinderTrainConfig, manifest: Path, *, wants_masks: bool, split: Split = Split.TRAIN
) -> list[FinderStudy]:
    """The studies of a manifest in memory; what cannot be read is left out and told once.

    Args:
        config: Which images, and as what views.
        manifest: Where they are listed.
        wants_masks: Whether to read where the findings lie.
        split: Those of it, or of none, count.

    Raises:
        UsageError: If no study has such images, or facts or a report.
        InputError: If the manifest is wrong, or too many studies cannot be read.
    """
    give_back_large_arrays()
    chosen = _chosen(config, manifest, split)
    if not chosen:
        words = ", ".join(config.finder.kinds)
        raise UsageError(f"{manifest}: no study to {USES[split]} has {words}")
    unreadable = Unreadable(len(chosen), config.max_bad)
    phrases, studies = load_phrases(), []
    for at, study in enumerate(chosen):
        try:
            read = _read(study, config, phrases, wants_masks=wants_masks)
        except MedgenError as error:
            unreadable.leave_out(study.id, at + 1, error)
            continue
        if read is not None:
            studies.append(read)
    if not studies:
        raise UsageError(f"{manifest}: no study to {USES[split]} has facts or a report")
    return studies


def learned_and_held(
    config: FinderTrainConfig, manifest: Path, *, wants_masks: bool
) -> tuple[list[FinderStudy], list[FinderStudy]]:
    """What is learned from, and what calibrates: `config.calibrate`, or every tenth patient.

    Of very few patients, all do both. Raises as `finder_studies` does.

    Raises:
        UsageError: If an image would be learned from and calibrate.
    """
    if config.calibrate:
        calibrating = Path(config.calibrate)
        _keep_apart(config, manifest, calibrating)
        held = finder_studies(config, calibrating, wants_masks=False, split=Split.VALIDATION)
        return finder_studies(config, manifest, wants_masks=wants_masks), held
    studies = finder_studies(config, manifest, wants_masks=wants_masks)
    patients = list(dict.fromkeys(study.patient for study in studies))
    held_back = set(patients[HELD_BACK - 1 :: HELD_BACK])
    kept = [study for study in studies if study.patient not in held_back]
    return kept, [study for study in studies if study.patient in held_back] or kept


def _keep_apart(config: FinderTrainConfig, manifest: Path, calibrating: Path) -> None:
    """Raises UsageError if an image would be learned from and calibrate the answers as well."""
    learned = {
        path.resolve()
        for study in _chosen(config, manifest, Split.TRAIN)
        for _, path in _images(study, config)
    }
    for study in _chosen(config, calibrating, Split.VALIDATION):
        for _, path in _images(study, config):
            if path.resolve() in learned:
                raise UsageError(
                    f"calibrate: {calibrating}: {path} is learned from as well; name other patients"
                )


def _chosen(config: FinderTrainConfig, manifest: Path, split: Split) -> list[Study]:
    listed = read_manifest(manifest, allow_outside=config.allow_outside)
    return [one for one in listed if one.split in (None, split) and _images(one, config)]


def _images(study: Study, config: FinderTrainConfig) -> list[tuple[Kind, Path]]:
    known = config.finder.kinds
    return [(kind, path) for kind, path in study.images.items() if str(kind.plain) in known]


def _read(
    study: Study, config: FinderTrainConfig, phrases: Phrases, *, wants_masks: bool
) -> FinderStudy | None:
    facts = study_facts(study, phrases)
    if facts is None:
        return None
    cache = Path(config.cache) if config.cache else None
    images = []
    for kind, path in _images(study, config):
        modality = kind.modality
        view = torch.from_numpy(cached_view(path, modality, config.standard, cache))
        masks = None
        if wants_masks and (files := _masks_of(study, kind)) is not None:
            masks = {
                name: torch.from_numpy(cached_mask(file, path, modality, config.standard, cache))
                for name, file in files.items()
            }
        images.append(FinderImage(kind.plain, view, masks))
    return FinderStudy(study.id, study.patient, facts, images)


def _masks_of(study: Study, kind: Kind) -> dict[str, Path] | None:
    """The masks of one image; None where nobody drew on it, though on others of the study."""
    if study.masks is None:
        return None
    files = mask_files(study.masks, axes=FACTS[kind.modality].axes, view=kind.view)
    is_drawn = bool(files) or not kind.view or not any(study.masks.iterdir())
    return files if is_drawn else None

"""Which studies of a manifest a training takes."""

from pathlib import Path

from medgen.data.manifest import read_manifest
from medgen.data.study import Study
from medgen.errors import UsageError
from medgen.modality import Modality


def to_train_on(manifest: Path, *, allow_outside: bool) -> list[Study]:
    """The studies of split `train`, and those without one.

    Raises:
        InputError: If the manifest is wrong.
    """
    listed = read_manifest(manifest, allow_outside=allow_outside)
    return [study for study in listed if study.is_for_training]


def with_modality(manifest: Path, modality: Modality, *, allow_outside: bool) -> list[Study]:
    """The studies to train on that have an image of a modality.

    Raises:
        UsageError: If there are none.
        InputError: If the manifest is wrong.
    """
    listed = to_train_on(manifest, allow_outside=allow_outside)
    chosen = [study for study in listed if study.has(modality)]
    if not chosen:
        raise UsageError(f"{manifest}: no study to train on has {modality}")
    return chosen

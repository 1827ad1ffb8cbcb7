"""Manifest: make one of a CSV table, a datalist or another manifest, and split it by patient."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medgen.data.datalist import read_datalist
from medgen.data.listing import Listing
from medgen.data.manifest import list_studies, write_manifest
from medgen.data.splits import Shares, split_patients
from medgen.data.study import Split, Study
from medgen.data.table import read_table
from medgen.errors import InputError, UsageError
from medgen.io.atomic import check_writable
from medgen.tasks.batch import MANIFEST

LOGGER = logging.getLogger(__name__)
READERS = {".csv": read_table, ".json": read_datalist}


@dataclass(frozen=True)
class ManifestConfig:
    """How a list of studies becomes a manifest."""

    renaming: Mapping[str, str] = field(default_factory=dict)  # key by column; empty leaves it out
    shares: Shares | None = None  # None keeps the splits as they are
    seed: int | None = None  # of the draw; 0 if not given
    replace_splits: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.shares is None and (self.seed is not None or self.replace_splits):
            raise UsageError("--seed and --replace-splits say how to split; add --shares 80,10,10")


def make_manifest(source: Path, out: Path, config: ManifestConfig) -> Path:
    """Write the studies of a list as a manifest, if nothing is wrong with any of them.

    Args:
        source: A `.csv` table, a `.json` datalist, a manifest, or a folder with one.
        out: The `.jsonl` file, or the folder of a `manifest.jsonl`; its files must be below it.
        config: What else to do.

    Returns:
        The file that was written.

    Raises:
        InputError: If `source` is no list, or anything is wrong with it.
        OutputError: If the manifest exists, cannot be written, or a file is not below its folder.
        UsageError: If the studies have splits already and `replace_splits` is False.
    """
    path, manifest = list_in(source), _manifest_in(out)
    if path is None:
        if not source.exists():
            raise InputError(f"{source}: there is no such file or folder")
        raise InputError(f"{source}: is no list of studies; name a .csv, .json or .jsonl file")
    check_writable(manifest, overwrite=config.overwrite)
    listing = read_list(path, config.renaming)
    studies = listing.without_problems(path)
    if config.shares:
        if not config.replace_splits:
            _refuse_splits(path, studies)
        studies = split_patients(studies, config.shares, seed=config.seed or 0)
        _warn_of_empty(studies, config.shares)
    write_manifest(studies, manifest, overwrite=config.overwrite)
    return manifest


def list_in(path: Path) -> Path | None:
    """The list of studies that a path means: itself, or a folder's manifest; None if neither."""
    file = path / MANIFEST if path.is_dir() else path
    is_list = file.suffix.lower() in (*READERS, ".jsonl") and file.is_file()
    return file if is_list else None


def read_list(path: Path, renaming: Mapping[str, str]) -> Listing:
    """The studies of a list of any kind, and what is wrong with it.

    Raises:
        InputError: If the file itself cannot be read.
        UsageError: If columns are to be renamed that are not there, or those of a manifest.
    """
    if read := READERS.get(path.suffix.lower()):
        return read(path, renaming)
    if renaming:
        raise UsageError(f"--map is for .csv and .json lists, not for {path}; leave it out")
    return list_studies(path)


def _manifest_in(out: Path) -> Path:
    if out.suffix == ".jsonl" and not out.is_dir():
        return out
    if out.suffix and not out.is_dir():
        raise UsageError(f"{out}: a manifest's name ends in .jsonl; or name a folder")
    return out / MANIFEST


def _refuse_splits(path: Path, studies: list[Study]) -> None:
    for study in studies:
        if study.split:
            raise UsageError(
                f"{path}: study '{study.id}' is in {study.split} already; "
                "leave --shares out, or draw all anew with --replace-splits"
            )


def _warn_of_empty(studies: list[Study], shares: Shares) -> None:
    """Say so where a split that should have patients got none."""
    for split in Split:
        if getattr(shares, split) and all(study.split is not split for study in studies):
            LOGGER.warning("no patient fell into %s: too few of them; try another --seed", split)

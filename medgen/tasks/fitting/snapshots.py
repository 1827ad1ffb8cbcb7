"""Snapshots of a training run: folders that are whole or do not count, whenever the power fails."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from medgen.errors import ModelError, OutputError

SUMS = "sums.json"
FACTS = "state.json"
PARTIAL = ".partial-"


@dataclass(frozen=True)
class Snapshot:
    """One complete snapshot on disk.

    Attributes:
        path: Its folder.
        facts: What `state.json` holds: step, seconds spent, configuration.
    """

    path: Path
    facts: dict[str, Any]

    def tensors(self, part: str) -> dict[str, Tensor]:
        """The tensors of one part (`weights`, `averaged`, `optimizer`), on the CPU."""
        return load((self.path / f"{part}.safetensors").read_bytes())


def write_snapshot(
    folder: Path,
    *,
    step: int,
    parts: Mapping[str, Mapping[str, Tensor]],
    facts: Mapping[str, Any],
) -> Snapshot:
    """Write `folder/step-<step>` so that it appears whole or not at all.

    Args:
        folder: The run's folder.
        step: Steps done; names the snapshot.
        parts: File stem -> tensor name -> tensor.
        facts: Anything JSON can hold.

    Raises:
        OutputError: The disk is full or refuses; earlier snapshots are untouched.
    """
    final = folder / f"step-{step:09d}"
    partial = folder / f"{PARTIAL}{final.name}-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        sums = {}
        for name, tensors in parts.items():
            file = f"{name}.safetensors"
            sums[file] = _write_through(partial / file, _packed(tensors))
        sums[FACTS] = _write_through(partial / FACTS, _json(facts))
        _write_through(partial / SUMS, _json(sums))
        _sync_folder(partial)
        _discard(final)
        partial.rename(final)
        _sync_folder(folder)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"{final}: cannot be written ({reason}); earlier snapshots are kept, "
            "so free some space or choose another folder, then resume"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Snapshot(final, dict(facts))


def newest(folder: Path) -> Snapshot | None:
    """The latest complete snapshot of a run; None if the run never wrote one.

    Raises:
        ModelError: There are snapshots and every one of them is damaged.
    """
    found = _snapshot_folders(folder)
    for path in reversed(found):
        if _is_whole(path):
            return Snapshot(path, json.loads((path / FACTS).read_bytes()))
    if found:
        raise ModelError(
            f"{folder}: every snapshot in it is damaged; restore one from a backup or start anew"
        )
    return None


def at_step(folder: Path, step: int) -> Snapshot:
    """The complete snapshot of one step.

    Raises:
        ModelError: It is missing or damaged.
    """
    path = folder / f"step-{step:09d}"
    if not _is_whole(path):
        raise ModelError(f"{path}: missing or damaged; every process must see the same folder")
    return Snapshot(path, json.loads((path / FACTS).read_bytes()))


def averaged_weights(folder: Path) -> tuple[int, dict[str, Tensor]]:
    """Steps done and the averaged weights, from the newest snapshot of a run.

    Raises:
        ModelError: If there is none.
    """
    snapshot = newest(folder)
    if snapshot is None:
        raise ModelError(f"{folder}: holds no training run; name the folder that `train -o` wrote")
    return snapshot.facts["step"], snapshot.tensors("averaged")


def prune(folder: Path, *, keep: int) -> None:
    """Delete all but the last `keep` snapshots."""
    for path in _snapshot_folders(folder)[:-keep]:
        _discard(path)


def discard_after(folder: Path, step: int) -> None:
    """Delete the snapshots behind a step: damaged ones, where a run goes on from before them."""
    for path in _snapshot_folders(folder):
        number = path.name.rpartition("-")[2]
        if number.isdecimal() and int(number) > step:
            _discard(path)


def sweep(folder: Path) -> None:
    """Delete what a killed process left half done."""
    for path in folder.glob(f"{PARTIAL}*"):
        shutil.rmtree(path, ignore_errors=True)


def _snapshot_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())


def _is_whole(path: Path) -> bool:
    try:
        sums = json.loads((path / SUMS).read_bytes())
        return FACTS in sums and all(
            _sum((path / name).read_bytes()) == value for name, value in sums.items()
        )
    except (OSError, ValueError, AttributeError):
        return False


def _discard(path: Path) -> None:
    """Make a snapshot vanish at once, then delete it at leisure."""
    if path.exists():
        doomed = path.with_name(f"{PARTIAL}{path.name}-old-{os.getpid()}")
        path.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _packed(tensors: Mapping[str, Tensor]) -> bytes:
    """Safetensors bytes; a clone each, since tied weights share memory and the format refuses."""
    return save(
        {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    )


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write_through(path: Path, content: bytes) -> str:
    """Write to the disk itself, not to a buffer; give the content's hash."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return _sum(content)


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

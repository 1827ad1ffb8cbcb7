"""Many inputs, one after another or side by side; one that fails does not stop the others."""

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medgen.data.study import Study
from medgen.errors import InputError, MedgenError, SomeFailedError, UsageError
from medgen.io.names import stem_of
from medgen.io.sidecar import sidecar_path, was_made_by
from medgen.io.sniff import Content, header_of, sniff_file

LOGGER = logging.getLogger(__name__)
MANIFEST = "manifest.jsonl"
SUFFIXES = (".nii", ".hdr", ".dcm", ".png", ".jpg", ".jpeg")  # never dropped, even if damaged
IMAGES = {"nifti", "dicom", "png", "jpeg", "analyze"}


@dataclass(frozen=True)
class Item:
    """One thing to work on.

    Attributes:
        name: What its results are called, with the folders below the one that was given
            (`sub-01/t1`); no two items of a batch share it.
        path: The file, or the DICOM folder; of a study, the manifest that names it.
        study: What the manifest says; None where a file or a folder was given.
    """

    name: str
    path: Path
    study: Study | None = None

    @property
    def files(self) -> list[Path]:
        """All that is read of it, its own path first."""
        return [self.path, *(self.study.files if self.study else ())]


@dataclass(frozen=True)
class Done:
    """An item that worked, and what the work returned."""

    item: Item
    value: Any


@dataclass(frozen=True)
class Failed:
    """An item that did not.

    Attributes:
        item: The item.
        error: Why, in one line, with its exit code; what nobody foresaw has its traceback as note.
    """

    item: Item
    error: MedgenError


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of a batch, for several machines.

    Attributes:
        number: Which part, from 1.
        count: How many there are.

    Example:
        >>> Shard.parse("2/3").of(["a", "b", "c", "d", "e"])
        ['b', 'e']
    """

    number: int
    count: int

    @classmethod
    def parse(cls, word: str) -> "Shard":
        """Read `I/N`.

        Raises:
            UsageError: If it is not two whole numbers with 1 <= I <= N.
        """
        number, _, count = word.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UsageError(f"--shard {word}: write I/N with I from 1 to N, such as 1/4")
        return cls(int(number), int(count))

    def of(self, items: Sequence[Any]) -> list[Any]:
        """Every N-th item: the shards share nothing, and together they are everything."""
        return list(items[self.number - 1 :: self.count])


def collect(inputs: Sequence[Path]) -> list[Item]:
    """What a command was given, as items in a fixed order.

    A file is one item. A `.jsonl` file is a manifest, and so is a folder that has a
    `manifest.jsonl`: one item a study. A folder that holds DICOM files is one item, the series;
    of any other folder every image is one, and the folders in it are looked at in the same way.
    What a file is, its content says; a name ending in `.nii.gz` or another image's suffix is
    enough only for not being passed over, so that a damaged image is reported. A translation
    that stands beside its source is passed over: it is the result of an earlier run. Of several
    inputs, one that does not exist, or has no images, is an item that fails when it is read.

    Raises:
        InputError: If the only input does not exist, or has no images.
        UsageError: If two items would have results of the same name.
    """
    items = [item for path in inputs for item in _items_of(path, is_alone=len(inputs) == 1)]
    for name, count in Counter(item.name for item in items).items():
        if count > 1:
            first, second, *_ = (str(item.path) for item in items if item.name == name)
            raise UsageError(f"{first} and {second}: results would both be named '{name}'")
    return items


def manifest_of(path: Path) -> Path | None:
    """The manifest that an input is, or that a folder has; None if there is none."""
    if path.suffix == ".jsonl":
        return path
    return path / MANIFEST if (path / MANIFEST).is_file() else None


def without_existing(
    items: Iterable[Item], results_of: Callable[[Item], Iterable[Path | None]]
) -> tuple[list[Item], list[Item]]:
    """Split a batch into what is to do and what `--skip-existing` leaves out: where all is there.

    Args:
        items: The batch.
        results_of: All that is asked for of an item; None for what is not.
    """
    to_do: list[Item] = []
    skipped: list[Item] = []
    for item in items:
        is_there = all(os.path.lexists(path) for path in results_of(item) if path is not None)
        (skipped if is_there else to_do).append(item)
    return to_do, skipped


def run_batch(
    items: Sequence[Item], work: Callable[[Item], Any], *, jobs: int = 1
) -> Iterator[Done | Failed]:
    """Work on every item, and yield what became of each, in the order of the items.

    Args:
        items: What to work on.
        work: Called with one item. With several jobs it runs in other processes, so it is a
            function of a module, or a `functools.partial` of one, and returns small things.
        jobs: How many items to work on at once; the cores are shared out among them. Processes
            are spawned, not forked: a fork of a program that has used torch's threads hangs.

    Yields:
        `Done` or `Failed`. A worker that dies takes only its own item with it.
    """
    jobs = min(jobs, len(items))
    if jobs <= 1:
        yield from (_attempt(work, item) for item in items)
    else:
        yield from _side_by_side(items, work, jobs)


def conclude(results: Iterable[Done | Failed]) -> None:
    """Turn what became of a batch into the error the command ends with, if it is one.

    Raises:
        MedgenError: The only item's own error.
        SomeFailedError: If some of several failed.
    """
    outcomes = list(results)
    failed = [result for result in outcomes if isinstance(result, Failed)]
    if not failed:
        return
    if len(outcomes) == 1:
        raise failed[0].error
    done = len(outcomes) - len(failed)
    several = SomeFailedError(f"{len(failed)} of {len(outcomes)} inputs failed; {done} are done")
    for note in (note for result in failed for note in getattr(result.error, "__notes__", ())):
        several.add_note(note)
    raise several


def _items_of(path: Path, *, is_alone: bool) -> Iterator[Item]:
    if manifest := manifest_of(path):
        yield from _studies(manifest)
    elif not path.is_dir():
        if is_alone and not path.exists():
            raise InputError(f"{path}: no such file or folder")
        yield Item(stem_of(path), path)
    else:
        found = list(_search(path, (), {path.resolve()}))
        if is_alone and not found:
            raise InputError(f"{path}: has no images; expected DICOM, NIfTI, PNG or JPEG files")
        yield from found or [Item(stem_of(path), path)]


def _studies(manifest: Path) -> Iterator[Item]:
    from medgen.data.manifest import read_manifest  # pydantic takes a while

    for study in read_manifest(manifest):
        yield Item(study.id, manifest, study)


def _search(folder: Path, above: tuple[str, ...], seen: set[Path]) -> Iterator[Item]:
    """The items of a folder: its own images by name, then those of the folders in it.

    Links to folders are followed; a folder that was `seen` is not looked at again.
    """
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    stems = {stem_of(entry) for entry in entries}
    entries = [entry for entry in entries if not _is_result(entry, stems)]
    files = [entry for entry in entries if entry.is_file()]
    kinds = {file: _kind_of(file) for file in files}
    if "dicom" in kinds.values():
        yield Item("/".join(above) or stem_of(folder), folder)
        if others := [file for file in files if kinds[file] in IMAGES - {"dicom"}]:
            LOGGER.warning(
                "%s: is one DICOM item; %s and %d more images in it are left out",
                *(folder, others[0].name, len(others) - 1),
            )
        return
    for file in files:
        if header_of(file) == file and (kinds[file] in IMAGES or _is_named_as_image(file)):
            yield Item("/".join((*above, stem_of(file))), file)
    for entry in entries:
        if entry.is_dir() and (real := entry.resolve()) not in seen:
            seen.add(real)
            yield from _search(entry, (*above, entry.name), seen)


def _kind_of(file: Path) -> Content:
    """What a file holds; of one that cannot be read, its name decides, and its turn tells why."""
    try:
        return sniff_file(file)
    except InputError:
        return "unknown"


def _is_result(entry: Path, stems: set[str]) -> bool:
    """Whether this was translated from something beside it, says its sidecar."""
    stem = stem_of(entry)
    if not any(stem.startswith(f"{other}_") for other in stems):
        return False
    return was_made_by("translate", sidecar_path(entry))


def _is_named_as_image(file: Path) -> bool:
    return file.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def _attempt(work: Callable[[Item], Any], item: Item) -> Done | Failed:
    try:
        return Done(item, work(item))
    except MedgenError as error:
        return Failed(item, error)
    except Exception as error:
        return Failed(item, _unforeseen(item, error))


def _unforeseen(item: Item, error: Exception) -> MedgenError:
    """What `--debug` shows travels as a note: a cause would stay in the worker's process."""
    message = " ".join(f"{type(error).__name__}: {error}".splitlines())
    found = MedgenError(f"{item.name}: unexpected {message}; --debug shows where it comes from")
    found.add_note("".join(traceback.format_exception(error)))
    return found


def _side_by_side(
    items: Sequence[Item], work: Callable[[Item], Any], jobs: int
) -> Iterator[Done | Failed]:
    before = set(multiprocessing.active_children())
    pool = _pool(jobs)
    try:
        futures = [pool.submit(_attempt, work, item) for item in items]
        for item, future in zip(items, futures, strict=True):
            yield _result(item, future) or _alone(work, item, jobs)
    finally:
        # Reached early by Ctrl-C, or by a caller who has seen enough: nobody waits for the rest.
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
            child.join()


def _alone(work: Callable[[Item], Any], item: Item, jobs: int) -> Done | Failed:
    """Try again an item whose pool broke: was it this one that killed its worker?"""
    LOGGER.info("%s: its worker died; trying once more, alone", item.name)
    with _pool(1, share=jobs) as pool:
        result = _result(item, pool.submit(_attempt, work, item))
    death = MedgenError(f"{item.name}: its process was killed; out of memory? use fewer --jobs")
    return result or Failed(item, death)


def _result(item: Item, future: "Future[Done | Failed]") -> Done | Failed | None:
    """What the worker says; None if it died."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None
    except Exception as error:  # what it wanted to say cannot travel between processes
        return Failed(item, _unforeseen(item, error))


def _pool(workers: int, *, share: int = 0) -> ProcessPoolExecutor:
    threads = max(1, _cores() // (share or workers))
    spawn = multiprocessing.get_context("spawn")
    level = logging.getLogger("medgen").getEffectiveLevel()
    return ProcessPoolExecutor(workers, spawn, _prepare_worker, (threads, level))


def _cores() -> int:
    """What `--threads` allows, else what the system does."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() else os.cpu_count() or 1


def _prepare_worker(threads: int, level: int) -> None:
    """Give a worker its share of the cores, and let it end when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent acts
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = str(threads)
    logging.getLogger("medgen").setLevel(level)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)

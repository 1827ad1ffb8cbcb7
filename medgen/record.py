"""What a run did, as one JSON file that names no patient."""

import hashlib
import json
import logging
import platform
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medgen import __version__
from medgen.config import config_hash, to_mapping
from medgen.errors import InputError, MedgenError, OutputError, UsageError
from medgen.io.atomic import atomic_file, check_writable
from medgen.io.names import safe_name, stem_of

PACKAGES = ["torch", "monai", "numpy", "scipy", "nibabel", "pydicom", "SimpleITK", "safetensors"]
SAYS_NOTHING = (  # names of nobody, which would blot out what a record says
    *("xray", "ct", "mri", "t1", "t2", "flair", "pd"),
    *("report", "text", "image", "scan", "manifest"),
)
SHORTEST_NAME = 3  # characters; shorter stems (`ct`, `1`) name nobody and would blot out words
INTERRUPTED = 130


@dataclass
class Record:
    """What is known about a run so far; a command fills it in as it goes.

    Inputs are remembered by hash. Their names, which may be a patient's, are replaced by the
    hash wherever they turn up: in outputs, warnings, the config or the error.

    Attributes:
        verb: The command: `translate`.
        config: The resolved config, a dataclass.
        seed: Seed of the first sample; None where nothing was random.
        device: Where it ran: `cpu`.
        model: Name and digest of the model; empty where there was none.
        inputs: Hash of each input, with whatever else is known of it.
        outputs: File, hash and size of each output.
        seconds: Duration by the name of the stage.
        warnings: What was said on the way.
    """

    verb: str
    config: Any = None
    seed: int | None = None
    device: str = "cpu"
    model: dict[str, str] = field(default_factory=dict)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict, repr=False)
    _taken: set[Path] = field(default_factory=set, repr=False)  # by inputs and results
    _path: Path | None = field(default=None, repr=False)  # where it will be written

    def add_input(self, path: Path, *, sha256: str = "", **facts: Any) -> None:
        """Remember an input by the hash of its bytes; a folder's is that of its files' hashes.

        Raises:
            InputError: If it cannot be read.
            UsageError: If the record would replace it.
        """
        try:
            digest = sha256 or sha256_of(path)
        except OSError as error:
            self.hide(path)
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        self.inputs.append({"sha256": digest, **facts})
        self.hide(path, digest)

    def hide(self, path: Path, digest: str = "") -> None:
        """Keep a path's names out of the record; for an input that could not be read, too.

        Raises:
            UsageError: If the record would replace it.
        """
        self.spare([path])
        for each in [path, *(_files(path) if path.is_dir() else ())]:
            self._hide_names(each, digest[:12] or "input")

    def hide_word(self, word: str) -> None:
        """Keep a name out of the record as it is written somewhere, whatever it leads to."""
        if len(word) >= SHORTEST_NAME and word.lower() not in SAYS_NOTHING:
            self._names.setdefault(word, "input")

    def _hide_names(self, path: Path, word: str) -> None:
        whole = path.absolute()
        stem = stem_of(path)
        written = safe_name(stem)  # as results are called after it
        bare = whole.name.removesuffix(".gz").rpartition(".")[0]
        names = [whole, whole.parent, path, path.parent, whole.name, stem, written, bare]
        if stem.lower() in SAYS_NOTHING:  # a name of nobody, which would blot out words
            names = names[:4]
        for name in names:
            if len(str(name)) >= SHORTEST_NAME:
                self._names[str(name)] = word

    def spare(self, inputs: Iterable[Path]) -> None:
        """Make sure that the record will replace none of these.

        Raises:
            UsageError: If it would.
        """
        self._taken.update(path.resolve() for path in inputs)
        if self.is_taken:
            raise UsageError(f"--record {self._path}: is one of the inputs; choose another name")

    def keep_apart(self, results: Iterable[Path | None]) -> None:
        """Make sure that the record is none of the results, before they are made.

        Raises:
            UsageError: If it is.
        """
        self._taken.update(path.resolve() for path in results if path is not None)
        if self.is_taken:
            raise UsageError(f"--record {self._path}: is one of the results; give it another name")

    def add_output(self, path: Path, **facts: Any) -> None:
        """Remember an output: a file, or a folder of instances."""
        size = sum(file.stat().st_size for file in _files(path))
        self.outputs.append({"name": path.name, "sha256": sha256_of(path), "bytes": size, **facts})

    @property
    def is_taken(self) -> bool:
        """Whether the record's own file is one of the inputs, or of the results to come."""
        return self._path is not None and self._path.resolve() in self._taken

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time that passes inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def document(self, *, exit_status: int, error: str = "") -> dict[str, Any]:
        """The record as JSON takes it, without the names of the inputs."""
        config = {} if self.config is None else to_mapping(self.config)
        return {
            "medgen": __version__,
            "verb": self.verb,
            "exit_status": exit_status,
            "error": self._scrub(error),
            "config": self._scrub(config),
            "config_sha256": "" if self.config is None else config_hash(self.config),
            "seed": self.seed,
            "device": self.device,
            "model": self._scrub(self.model),
            "inputs": self._scrub(self.inputs),
            "outputs": self._scrub(self.outputs),
            "seconds": {stage: round(spent, 3) for stage, spent in self.seconds.items()},
            "warnings": self._scrub(self.warnings),
            "versions": versions(),
        }

    def _scrub(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._scrub(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._scrub(inner) for inner in value]
        if not isinstance(value, str):
            return value
        for name in sorted(self._names, key=len, reverse=True):  # a path before its own stem
            if name in value:  # a folder may have thousands of files
                value = re.sub(rf"(?<!\w){re.escape(name)}(?![^\W_])", self._names[name], value)
        return value


class _Listener(logging.Handler):
    """Copies what medgen warns about into a list."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextmanager
def recording(path: Path | None, record: Record, *, overwrite: bool = False) -> Iterator[Record]:
    """Write the record when the run ends, however it ends.

    Args:
        path: Where `--record` wants it; None writes nothing.
        record: What is known before the run starts.
        overwrite: Replace an older record.

    Raises:
        OutputError: If the record exists already, is one of the results, or cannot be written.
    """
    if path is not None and path.exists() and not overwrite:
        raise OutputError(f"{path}: exists; give --record another name, or --overwrite")
    if path is not None:
        _check_place(path)
    record._path = path
    before = _stamp(path)
    listener = _Listener(record.warnings)
    logger = logging.getLogger("medgen")
    logger.addHandler(listener)
    status, error = 0, ""
    try:
        with record.timed("total"):
            yield record
    except BaseException as fault:
        status, error = _exit_status(fault), f"{type(fault).__name__}: {fault}"
        raise
    finally:
        logger.removeHandler(listener)
        if path is not None and not record.is_taken:
            is_result = _stamp(path) != before
            _write(record.document(exit_status=status, error=error), path, is_result=is_result)


def _check_place(path: Path) -> None:
    """Raises OutputError if the record cannot be written there: before the run, not after it."""
    try:
        check_writable(path, overwrite=True)
    except OutputError:
        raise OutputError(f"{path}: cannot be written; give --record another folder") from None


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when somebody writes the file; None where none is."""
    if path is None or not path.is_file():
        return None
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _write(document: dict[str, Any], path: Path, *, is_result: bool) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    try:
        if is_result:
            raise OutputError(f"{path}: is one of the results; give --record another name")
        with atomic_file(path, overwrite=True) as draft:
            draft.write_text(text, encoding="utf-8")
    except OutputError as error:
        if document["exit_status"] == 0:
            raise
        logging.getLogger("medgen").warning("%s", error)  # the run's own error matters more


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes; of a folder, the hash of the sorted hashes of its files.

    A folder's does not depend on its files' names: those of DICOM mean nothing.
    """
    if path.is_dir():
        digests = sorted(sha256_of(file) for file in _files(path))
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python and of what does the arithmetic, without importing any of it."""
    found = {"python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _files(path: Path) -> list[Path]:
    return [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]


def _exit_status(fault: BaseException) -> int:
    if isinstance(fault, MedgenError):
        return fault.exit_code
    if isinstance(fault, KeyboardInterrupt):
        return INTERRUPTED
    return fault.code if isinstance(fault, SystemExit) and isinstance(fault.code, int) else 1

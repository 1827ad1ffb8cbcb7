"""A file or folder appears under its name whole, or not at all."""

import errno
import fnmatch
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from medgen.errors import OutputError
from medgen.io.exchange import exchange


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Lend a path in the same folder; what is written there becomes `path` at the end.

    Args:
        path: Where the file shall appear; missing folders above it are made.
        overwrite: Replace a file that is already there.

    Yields:
        The temporary path to write to. It is removed if anything goes wrong, Ctrl-C included.

    Raises:
        OutputError: If the target exists, or the system refuses a write.
    """
    refuse_existing(path, overwrite=overwrite)
    with _output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Lend an empty folder beside `path`; it becomes `path` at the end.

    Args:
        path: Where the folder shall appear. An empty folder there is taken as absent.
        overwrite: Replace a folder that is already there, if it holds no file besides those
            that are written again: a folder of somebody's own files is never removed.

    Yields:
        The temporary folder to write files to; removed if anything goes wrong.

    Raises:
        OutputError: If the target exists, holds other files, or the system refuses a write.
    """
    refuse_existing(path, overwrite=overwrite)
    with _output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(path)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                _sync(file)
            _swap_folder(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(path.parent)


def check_writable(path: Path, *, overwrite: bool = False, replaces: str = "*") -> None:
    """Find out before the computation whether a result can be written; leaves no trace.

    Args:
        path: Where it shall appear.
        overwrite: Replace what is there.
        replaces: Names, with wildcards, of the files that a folder which is replaced may hold.

    Raises:
        OutputError: If the target exists, is a folder with other files, or its folder cannot be
            written to.
    """
    refuse_existing(path, overwrite=overwrite)
    with _output_errors(path):
        if path.is_dir():
            names = {file.name for file in path.iterdir()}
            _refuse_foreign(path, names - set(fnmatch.filter(names, replaces)))
        folder = next(p for p in path.absolute().parents if p.exists())
        probe = _beside(folder / "probe")
        probe.touch()
        probe.unlink()


def refuse_existing(path: Path, *, overwrite: bool = False) -> None:
    """Raise OutputError if something is at `path` and may not be replaced.

    Raises:
        OutputError: If a file or a folder with content is there and `overwrite` is False.
    """
    with _output_errors(path):
        is_free = not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))
    if not (is_free or overwrite):
        raise OutputError(f"{path}: already exists; choose another name or add --overwrite")


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space" if full else "choose another folder with -o"
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path}: cannot be written ({reason}); {remedy}") from error


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}.part")


def _swap_folder(temporary: Path, path: Path) -> None:
    if not path.is_dir() or not any(path.iterdir()):
        temporary.replace(path)  # an empty folder gives way to a full one
        return
    written = {file.name for file in temporary.iterdir()}
    _refuse_foreign(path, {file.name for file in path.iterdir()} - written)
    if exchange(temporary, path):
        shutil.rmtree(temporary, ignore_errors=True)  # what was at `path`
        return
    old = _beside(path)
    path.replace(old)
    try:
        temporary.replace(path)
    except BaseException:
        old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _refuse_foreign(path: Path, names: set[str]) -> None:
    if names:
        raise OutputError(
            f"{path}: holds other files too ({min(names)}), and --overwrite would remove them; "
            "choose another folder"
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    with suppress(OSError):  # the file is complete; some network drives cannot sync a folder
        _sync(path)


@contextmanager
def all_or_nothing(*replaced: Path | None) -> Iterator[list[Path]]:
    """Lend a list of what was written; if the rest fails, it goes, and what it replaced is back.

    Args:
        replaced: Files and folders that may be written over.

    Raises:
        OutputError: If one of them cannot be kept for that long.
    """
    written: list[Path] = []
    with ExitStack() as kept:
        before = {
            path: _kept(path, kept) for path in replaced if path is not None and path.exists()
        }
        try:
            yield written
        except BaseException:
            for path in written:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            for path, second in before.items():
                if second.is_file() or not path.exists():
                    second.replace(path)
            raise


def _kept(path: Path, until: ExitStack) -> Path:
    """A file or folder under a second name until then; copies, where the disk knows no links."""
    second = _beside(path)
    with _output_errors(path):
        if path.is_dir():
            until.callback(shutil.rmtree, second, ignore_errors=True)
            shutil.copytree(path, second, copy_function=_linked)
        else:
            until.callback(second.unlink, missing_ok=True)
            _linked(path, second)
    return second


def _linked(path: str | Path, second: str | Path) -> None:
    try:
        os.link(path, second)
    except OSError:
        shutil.copy2(path, second)

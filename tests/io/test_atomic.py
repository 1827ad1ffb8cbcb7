"""A file or folder appears under its name whole or not at all, whatever goes wrong."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medgen.errors import OutputError
from medgen.io.atomic import all_or_nothing, atomic_file, atomic_folder, check_writable
from medgen.io.names import SLICES


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file may grow beyond `room` bytes: the system answers as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_absent_until_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "scan.nii.gz"
    with atomic_file(target) as temporary:
        temporary.write_bytes(b"voxels")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert target.read_bytes() == b"voxels"
    assert list(target.parent.iterdir()) == [target]


def save(path: Path, content: bytes, fault: type[BaseException] | None = None) -> None:
    """Overwrite `path` (a folder of one slice where it has no suffix); fail when half done."""
    atomic = atomic_file if path.suffix else atomic_folder
    with atomic(path, overwrite=True) as temporary:
        (temporary if path.suffix else temporary / "0001.dcm").write_bytes(content)
        if fault:
            raise fault


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_it_goes_wrong(tmp_path: Path, fault: type[BaseException]) -> None:
    for name in ("a.nii", "series"):
        with pytest.raises(fault):
            save(tmp_path / name, b"half", fault)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_stays_until_overwrite(tmp_path: Path) -> None:
    target = tmp_path / "a.nii"
    target.write_bytes(b"old")
    refused = pytest.raises(OutputError, match=r"a\.nii: already exists; .*--overwrite")
    with refused, atomic_file(target):
        pass
    with pytest.raises(RuntimeError):
        save(target, b"half", RuntimeError)
    assert target.read_bytes() == b"old"
    save(target, b"new")
    assert target.read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    target = tmp_path / "a.nii"
    target.write_bytes(b"old")
    with full_disk(1000), pytest.raises(OutputError, match=r"a\.nii: cannot .*free some space"):
        save(target, b"v" * 2000)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "series"
    target.mkdir()  # an empty folder, as `-o out/` finds it, is no obstacle
    with atomic_folder(target) as folder:
        (folder / "0001.dcm").write_bytes(b"slice")
        assert list(target.iterdir()) == []
    assert (target / "0001.dcm").read_bytes() == b"slice"
    with pytest.raises(OutputError, match="already exists"), atomic_folder(target):
        pass


def test_a_folder_is_replaced_only_by_its_own_kind(tmp_path: Path) -> None:
    target = tmp_path / "series"
    target.mkdir()
    (target / "0001.dcm").write_bytes(b"old")
    save(target, b"new")
    assert (target / "0001.dcm").read_bytes() == b"new"
    (target / "thesis.odt").write_bytes(b"years")
    with pytest.raises(OutputError, match=r"thesis\.odt"):
        save(target, b"newer")
    assert (target / "thesis.odt").read_bytes() == b"years"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("folder", ["/proc", "/dev/null"])
def test_an_unwritable_folder_is_known_before_the_work(folder: str) -> None:
    target = Path(folder, "medgen", "a.nii")
    with pytest.raises(OutputError, match=r"a\.nii: cannot be written \(.*-o"):
        check_writable(target)
    with pytest.raises(OutputError, match="cannot be written"), atomic_file(target):
        pass


def test_checking_leaves_no_trace(tmp_path: Path) -> None:
    check_writable(tmp_path / "not" / "yet" / "a.nii")
    assert list(tmp_path.iterdir()) == []


def test_checking_sees_what_exists(tmp_path: Path) -> None:
    (tmp_path / "a.nii").touch()
    with pytest.raises(OutputError, match="already exists"):
        check_writable(tmp_path / "a.nii")
    check_writable(tmp_path / "a.nii", overwrite=True)


def test_a_folder_of_other_files_is_found_before_the_computation(tmp_path: Path) -> None:
    series = tmp_path / "ct"
    series.mkdir()
    (series / "0001.dcm").touch()
    check_writable(series, overwrite=True, replaces=SLICES)
    (series / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"holds other files too \(notes.txt\)"):
        check_writable(series, overwrite=True, replaces=SLICES)


@pytest.mark.parametrize("has_links", [True, False])
def test_what_a_failed_run_has_replaced_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    old, new = tmp_path / "scan.json", tmp_path / "scan_mask.png"
    old.write_text("before")
    if not has_links:
        monkeypatch.setattr("os.link", _no_links)

    def made(*, fails: bool) -> None:
        with all_or_nothing(old, new, None) as written:
            for path in (old, new):
                with atomic_file(path, overwrite=True) as draft:
                    draft.write_text("after")
                written.append(path)
            if fails:
                raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        made(fails=True)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.json"]
    assert old.read_text() == "before"
    made(fails=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scan.json", "scan_mask.png"]
    assert old.read_text() == "after"


@pytest.mark.parametrize("has_links", [True, False])
def test_a_folder_that_a_failed_run_has_replaced_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    series, late = tmp_path / "series", tmp_path / "late"
    for folder in (series, late):
        folder.mkdir()
        (folder / "0001.dcm").write_text("before")
    if not has_links:
        monkeypatch.setattr("os.link", _no_links)

    def fails() -> None:
        with all_or_nothing(series, late) as written:
            with atomic_folder(series, overwrite=True) as draft:
                (draft / "0001.dcm").write_text("after")
            written.append(series)
            raise OutputError("disk full")

    with pytest.raises(OutputError, match="disk full"):
        fails()
    for folder in (series, late):
        assert [(one.name, one.read_text()) for one in folder.iterdir()] == [("0001.dcm", "before")]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["late", "series"]


def _no_links(path: Path, second: Path) -> None:
    raise PermissionError("this disk knows no links")

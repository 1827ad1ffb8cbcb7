"""Every input is worked on once, whatever happens to the others."""

import os
import time
import traceback
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

from medgen.errors import InputError, MedgenError, SomeFailedError, UsageError
from medgen.io import files
from medgen.tasks import batch
from medgen.tasks.batch import (
    Done,
    Failed,
    Item,
    Shard,
    collect,
    conclude,
    run_batch,
    without_existing,
)

DICOM = b"\0" * 128 + b"DICM" + b"\0" * 32
NIFTI = b"\0" * 344 + b"n+1\0" + b"\0" * 300
PNG = b"\x89PNG\r\n\x1a\n"


def plant(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def names(*inputs: Path) -> list[str]:
    return [item.name for item in collect(inputs)]


def test_a_file_is_one_item_named_by_its_stem(tmp_path: Path) -> None:
    plant(tmp_path, a_dot_v2_dot_nii_dot_gz=NIFTI)
    assert collect([tmp_path / "a.v2.nii.gz"]) == [Item("a.v2", tmp_path / "a.v2.nii.gz")]


def test_a_folder_of_images_is_many_items_in_order(tmp_path: Path) -> None:
    plant(tmp_path, b_dot_nii=NIFTI, a_dot_nii=NIFTI, c_dot_png=PNG, notes_dot_txt=b"hello")
    plant(tmp_path, _dot_hidden_dot_nii=NIFTI, a_dot_json=b"{}", deep__d_dot_nii=NIFTI)
    assert names(tmp_path) == ["a", "b", "c", "deep/d"]


def test_a_folder_with_dicom_is_one_item_whatever_else_is_in_it(tmp_path: Path) -> None:
    plant(tmp_path / "series", IM1=DICOM, IM2=DICOM, preview_dot_png=PNG)
    assert collect([tmp_path / "series"]) == [Item("series", tmp_path / "series")]


def test_images_that_are_left_out_beside_dicom_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant(tmp_path / "series", IM1=DICOM, a_dot_nii=NIFTI, b_dot_nii=NIFTI)
    assert names(tmp_path / "series") == ["series"]
    assert "a.nii and 1 more images in it are left out" in caplog.text


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    plant(tmp_path, real__p2__a_dot_nii=NIFTI, cohort__p1__a_dot_nii=NIFTI)
    (tmp_path / "cohort" / "p2").symlink_to(tmp_path / "real" / "p2")
    (tmp_path / "cohort" / "p1" / "loop").symlink_to(tmp_path / "cohort")
    assert names(tmp_path / "cohort") == ["p1/a", "p2/a"]


def test_a_folder_of_dicom_folders_is_one_item_each(tmp_path: Path) -> None:
    plant(tmp_path, p1__s1__IM1=DICOM, p1__s2__IM1=DICOM, p2__IM1=DICOM)
    assert names(tmp_path) == ["p1/s1", "p1/s2", "p2"]


def test_an_image_without_suffix_is_known_by_content(tmp_path: Path) -> None:
    assert names(plant(tmp_path, scan=NIFTI)) == ["scan"]


def test_a_damaged_image_is_not_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, empty_dot_nii_dot_gz=b"", junk_dot_nii=b"junk" * 200, notes_dot_md=b"#")
    assert names(tmp_path) == ["empty", "junk"]


def test_what_cannot_be_read_is_an_item_if_its_name_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.nii.gz", "notes.txt", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"x")

    def locked(path: Path) -> NoReturn:
        raise InputError(f"{path}: cannot be read (Permission denied)")

    monkeypatch.setattr(batch, "sniff_file", locked)
    assert [item.path.name for item in collect([tmp_path])] == ["a.nii.gz", "b.nii.gz"]


def test_header_and_image_are_one_item(tmp_path: Path) -> None:
    header = NIFTI.replace(b"n+1", b"ni1")
    assert names(plant(tmp_path, a_dot_hdr=header, a_dot_img=b"\0" * 99)) == ["a"]


def test_a_manifest_is_one_item_a_study(tmp_path: Path) -> None:
    plant(tmp_path, s__mr_dot_nii=NIFTI, stray_dot_nii=NIFTI)
    lines = [f'{{"id": "{i}", "patient": "p", "mri:t1": "s/mr.nii"}}' for i in ("s2", "s1")]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    assert names(tmp_path / "manifest.jsonl") == names(tmp_path) == ["s2", "s1"]
    assert collect([tmp_path])[0].study.of("mri") == [tmp_path / "s" / "mr.nii"]


def test_two_results_of_one_name_are_refused(tmp_path: Path) -> None:
    plant(tmp_path, a__t1_dot_nii=NIFTI, b__t1_dot_nii=NIFTI)
    with pytest.raises(UsageError, match="results would both be named 't1'"):
        collect([tmp_path / "a" / "t1.nii", tmp_path / "b" / "t1.nii"])
    assert names(tmp_path) == ["a/t1", "b/t1"]


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no images"):
        collect([tmp_path])
    with pytest.raises(InputError, match="no such file"):
        collect([tmp_path / "absent.nii"])


def test_of_several_what_is_not_there_is_an_item_that_fails_by_itself(tmp_path: Path) -> None:
    plant(tmp_path, t1_dot_nii=NIFTI)
    (tmp_path / "empty").mkdir()
    asked = [tmp_path / "t1.nii", tmp_path / "absent.nii", tmp_path / "empty"]
    items = collect(asked)
    assert [item.path for item in items] == asked
    _, absent, empty = run_batch(items, lambda item: files.read(item.path) and item)
    assert "there is no such file" in str(absent.error)
    assert "holds no DICOM" in str(empty.error)


def test_a_result_beside_its_source_is_not_an_input_but_elsewhere_it_is(tmp_path: Path) -> None:
    sidecar = b'{"Synthetic": true, "Task": "translate"}'
    plant(tmp_path / "a", t1_dot_nii=NIFTI, t1_ct_dot_nii=NIFTI, t1_ct_dot_json=sidecar)
    plant(tmp_path / "a", t1_t2_dot_nii=NIFTI)
    plant(tmp_path / "b", t1_ct_dot_nii=NIFTI, t1_ct_dot_json=sidecar)
    plant(tmp_path / "c", s__IM1=DICOM, s_ct__IM1=DICOM, s_ct_dot_json=sidecar)
    assert names(tmp_path / "a") == ["t1", "t1_t2"]
    assert names(tmp_path / "b") == ["t1_ct"]
    assert names(tmp_path / "c") == ["s"]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("length", [0, 1, 5, 20])
def test_shards_share_nothing_and_are_everything(count: int, length: int) -> None:
    shards = [Shard(number, count).of(range(length)) for number in range(1, count + 1)]
    assert sorted(sum(shards, [])) == list(range(length))  # noqa: RUF017
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("word", ["0/2", "3/2", "1", "1/", "/2", "a/b", "-1/2", "1/0", "1.5/2"])
def test_impossible_shards_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="write I/N"):
        Shard.parse(word)


def test_what_exists_is_left_out(tmp_path: Path) -> None:
    items = [Item(name, tmp_path / name) for name in "abc"]
    (tmp_path / "b.out").touch()
    to_do, skipped = without_existing(items, lambda item: [tmp_path / f"{item.name}.out", None])
    assert [item.name for item in to_do] == ["a", "c"]
    assert [item.name for item in skipped] == ["b"]
    assert not without_existing(skipped, lambda item: [tmp_path / "b.out", tmp_path / "b.png"])[1]


def work(item: Item, *, folder: Path | None = None) -> str:
    """Fails, dies or dawdles as the item's name says."""
    if folder:
        (folder / f"{item.name}.pid").write_text(str(os.getpid()))
    match item.name:
        case "bad":
            raise InputError("bad: truncated")
        case "bug":
            raise ZeroDivisionError("two\nlines")
        case "dies":
            os._exit(9)
        case "slow":
            time.sleep(60)
    return item.name.upper()


def items_of(*words: str) -> list[Item]:
    return [Item(word, Path(word)) for word in words]


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_item_does_not_stop_the_others(jobs: int) -> None:
    results = list(run_batch(items_of("a", "bad", "bug", "b"), work, jobs=jobs))
    assert [result.item.name for result in results] == ["a", "bad", "bug", "b"]
    assert [r.value for r in results if isinstance(r, Done)] == ["A", "B"]
    bad, bug = (result for result in results if isinstance(result, Failed))
    assert (type(bad.error), bad.error.exit_code) == (InputError, 4)
    assert not hasattr(bad.error, "__notes__")
    assert (type(bug.error), bug.error.exit_code) == (MedgenError, 1)
    assert str(bug.error).startswith("bug: unexpected ZeroDivisionError: two lines;")
    with pytest.raises(SomeFailedError) as several:
        conclude(results)
    for error in (bug.error, several.value):  # `--debug` prints it
        printed = "".join(traceback.format_exception(error))
        assert 'raise ZeroDivisionError("two' in printed


def test_a_worker_that_dies_takes_only_its_own_item() -> None:
    results = list(run_batch(items_of("a", "dies", "b"), work, jobs=2))
    assert [type(result) for result in results] == [Done, Failed, Done]
    assert "out of memory? use fewer --jobs" in str(results[1].error)


def test_a_value_that_cannot_travel_is_a_failure_of_its_item() -> None:
    results = list(run_batch(items_of("a", "b"), return_a_function, jobs=2))
    assert all(isinstance(result, Failed) for result in results)


def return_a_function(item: Item) -> object:
    return lambda: item


def test_nobody_waits_for_items_that_nobody_wants(tmp_path: Path) -> None:
    results = run_batch(items_of("a", "slow", "slow2"), partial(work, folder=tmp_path), jobs=2)
    assert next(results) == Done(Item("a", Path("a")), "A")
    pid = tmp_path / "slow.pid"
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.01)
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def outcome(*words: str) -> None:
    conclude(run_batch(items_of(*words), work))


def test_a_batch_ends_with_the_right_error() -> None:
    outcome("a", "b")
    with pytest.raises(InputError):
        outcome("bad")
    with pytest.raises(SomeFailedError, match="1 of 3 inputs failed; 2 are done"):
        outcome("a", "bad", "b")

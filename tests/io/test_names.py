"""An output's name follows from its source, its kind and -o, and never hits the input."""

from pathlib import Path

import pytest

from medgen.errors import UsageError
from medgen.io.names import check_apart, format_of, output_path, stem_of
from medgen.modality import Kind

CT, T2, XRAY = Kind.parse("ct"), Kind.parse("mri:t2"), Kind.parse("xray")


@pytest.mark.parametrize(
    ("source", "kind", "name"),
    [
        ("in/mri.nii", CT, "in/mri_ct.nii.gz"),
        ("in/name.v2.nii.gz", T2, "in/name.v2_t2.nii.gz"),
        ("pair.img", CT, "pair_ct.nii.gz"),
        ("in/UPPER.NII.GZ", CT, "in/UPPER_ct.nii.gz"),
        ("in/no_suffix", CT, "in/no_suffix_ct.nii.gz"),
        ("in/ct.nii.gz", XRAY, "in/ct_xray.png"),
    ],
)
def test_beside_the_source(source: str, kind: Kind, name: str) -> None:
    assert output_path(Path(source), kind) == Path(name)


def test_dicom_becomes_a_folder_beside_the_folder() -> None:
    assert output_path(Path("study/mr"), CT, file_format="dicom") == Path("study/mr_ct")
    assert output_path(Path("study/one.dcm"), CT, file_format="dicom") == Path("study/one_ct")


def test_a_png_volume_does_not_exist() -> None:
    assert output_path(Path("chest.png"), CT, file_format="png") == Path("chest_ct.nii.gz")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.v2.NII.GZ", "x.dcm", "x.png"])
def test_out_may_name_the_file(name: str) -> None:
    assert output_path(Path("t1.nii"), CT, out=Path("res", name)) == Path("res", name)


def test_out_may_name_a_folder_that_is_there_or_not(tmp_path: Path) -> None:
    for name in ("odd.nii", "odd.mha"):
        (tmp_path / name).mkdir()
    names = ("", "new", "odd.nii", "odd.mha", "v1.2", "out.v2/")
    for folder in (tmp_path / name for name in names):
        assert output_path(Path("t1.nii"), CT, out=folder) == folder / "t1_ct.nii.gz"


def test_the_suffix_follows_the_kind_or_the_given_name() -> None:
    sigma = output_path(Path("t1.nii"), CT, suffix="_sigma")
    named = output_path(Path("t1.nii"), CT, out=Path("a.v2.nii.gz"), suffix="_sigma")
    assert (sigma, named) == (Path("t1_ct_sigma.nii.gz"), Path("a.v2_sigma.nii.gz"))


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    source = tmp_path / "t1.nii.gz"
    source.touch()
    (tmp_path / "link.nii.gz").symlink_to(source)
    for out in (source, tmp_path / "." / "t1.nii.gz", tmp_path / "link.nii.gz"):
        with pytest.raises(UsageError, match="is the input itself"):
            output_path(source, CT, out=out)


@pytest.mark.parametrize("name", ["x.jpg", "x.TIF", "x.hdr", "x.mha", "x.zip", "x.txt.gz"])
def test_formats_that_are_not_written_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"medgen writes \.nii\.gz"):
        output_path(Path("t1.nii"), CT, out=Path(name))
    with pytest.raises(UsageError, match="or a folder of DICOM"):
        format_of(Path(name))


def test_characters_that_some_system_forbids_are_replaced() -> None:
    assert output_path(Path("a:b?.nii"), CT) == Path("a_b__ct.nii.gz")


def test_a_dot_is_the_folder_it_stands_for() -> None:
    assert stem_of(Path()) == Path.cwd().name


def test_no_file_of_a_folder_that_is_read_is_replaced(tmp_path: Path) -> None:
    series = tmp_path / "series"
    series.mkdir()
    (series / "1.dcm").touch()
    check_apart([series / "new.txt", tmp_path / "1.dcm"], [series])
    with pytest.raises(UsageError, match=r"1\.dcm: is one of the inputs"):
        check_apart([series / "1.dcm"], [series])

"""What is written is read back: voxels exactly, affine and kind too; and others read the same."""

import gzip
import hashlib
import resource
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medgen.errors import OutputError, UsageError
from medgen.io import nifti
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import FACTS, WORDS, Kind

MADE = Provenance("translate", "base", "0123456789abcdef", seed=7)
CT, T1 = Kind.parse("ct"), Kind.parse("mri:t1")
OBLIQUE = np.array(
    [[-0.9, 0.1, 0.3, 91], [0.2, 0.8, -1.1, -126], [0.06, 0.5, 2.4, 72], [0, 0, 0, 1.0]]
)
TURNED = np.array([[0, 0, -2.5, 20], [-0.7, 0, 0, 3], [0, 0.6, 0, -1], [0, 0, 0, 1.0]])
NOISE = np.random.default_rng(0).normal(40, 300, (5, 6, 7)).astype(np.float32)


def image(kind: Kind | None = T1, affine: np.ndarray = TURNED, voxels: np.ndarray = NOISE):
    return MedicalImage(voxels, Geometry(affine), kind)


def put(path: Path, voxels: np.ndarray, affine: np.ndarray | None = TURNED, **fields: object):
    """A file by nibabel, with header fields set in the stored bytes."""
    maker = nibabel.Nifti2Image if fields.pop("version", 1) == 2 else nibabel.Nifti1Image
    made = maker(voxels, affine)
    for name, value in fields.items():
        made.header[name] = value
    made.to_filename(path)
    return path


VOLUMES = [word for word in WORDS if FACTS[Kind.parse(word).modality].axes == 3]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.v2.NII.GZ"])
@pytest.mark.parametrize("word", VOLUMES)
def test_read_after_write_is_identity(tmp_path: Path, name: str, word: str) -> None:
    voxels = np.rint(NOISE).astype(np.int16 if word == "ct" else np.float32)
    original = image(Kind.parse(word), OBLIQUE, voxels)
    again = nifti.read(nifti.write(original, tmp_path / name, provenance=MADE))
    assert again.kind == original.kind
    assert again.voxels.dtype == voxels.dtype
    assert np.array_equal(again.voxels, voxels)
    assert np.abs(again.geometry.affine - OBLIQUE).max() < 1e-5


@settings(max_examples=40, deadline=None)
@given(
    voxels=st.one_of(
        arrays(np.int16, array_shapes(min_dims=3, max_dims=3, max_side=6)),
        arrays(np.int32, array_shapes(min_dims=3, max_dims=3, max_side=6)),
        arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=6)),
        arrays(
            np.float32,
            array_shapes(min_dims=3, max_dims=3, max_side=6),
            elements=st.floats(-1e6, 1e6, width=32),
        ),
    ).filter(lambda v: v.min() != v.max()),
    spacing=st.tuples(*[st.floats(0.1, 10)] * 3),
    angles=st.tuples(*[st.floats(-3, 3)] * 3),
    origin=st.tuples(*[st.floats(-120, 120)] * 3),
)
def test_any_shape_type_and_place_survives(
    tmp_path_factory: pytest.TempPathFactory,
    voxels: np.ndarray,
    spacing: tuple[float, ...],
    angles: tuple[float, ...],
    origin: tuple[float, ...],
) -> None:
    turn = np.array(SimpleITK.Euler3DTransform((0, 0, 0), *angles).GetMatrix()).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * spacing, origin
    original = image(None, affine, voxels)
    path = tmp_path_factory.mktemp("any") / "a.nii.gz"
    again = nifti.read(nifti.write(original, path, provenance=MADE))
    assert again.voxels.dtype == voxels.dtype
    assert np.array_equal(again.voxels, voxels)
    assert np.abs(again.geometry.affine - affine).max() < 1e-5


def test_hounsfield_units_survive_as_integers(tmp_path: Path) -> None:
    path = nifti.write(image(CT), tmp_path / "ct.nii.gz", provenance=MADE)
    assert np.abs(nifti.read(path).voxels - NOISE).max() <= 0.5
    header = nibabel.load(path).header
    assert header.get_data_dtype() == np.int16
    assert nibabel.load(path).dataobj.slope == 1
    assert nibabel.load(path).dataobj.inter == 0
    witness = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)).transpose()
    assert np.abs(witness - NOISE).max() <= 0.5


def test_clipped_units_are_told_in_the_file(tmp_path: Path) -> None:
    voxels = NOISE.copy()
    voxels[0, 0, :2] = 1e6, -1e6
    path = nifti.write(image(CT, voxels=voxels), tmp_path / "ct.nii", provenance=MADE)
    assert nifti.read(path).voxels[0, 0, :2].tolist() == [32767, -32768]
    (comment,) = nibabel.load(path).header.extensions
    assert comment.text == f"{MADE.sentence}; 2 voxels clipped to 16 bits"


def test_the_header_says_synthetic_and_millimetres(tmp_path: Path) -> None:
    path = nifti.write(image(), tmp_path / "t1.nii.gz", provenance=MADE)
    header = nibabel.load(path).header
    assert header["descrip"].item().startswith(b"SYNTHETIC medgen ")
    assert len(header["descrip"].item()) <= 79
    assert header.extensions[0].text == MADE.sentence
    assert header.get_xyzt_units() == ("mm", "sec")
    assert header["dim"][0] == 3
    assert header["intent_code"] == 0
    assert int(header["sform_code"]) == int(header["qform_code"]) == 1
    assert np.abs(header.get_qform() - header.get_sform()).max() < 1e-4


def test_same_image_same_bytes(tmp_path: Path) -> None:
    one = nifti.write(image(), tmp_path / "1.nii.gz", provenance=MADE)
    two = nifti.write(image(), tmp_path / "2.nii.gz", provenance=MADE)
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes()[4:8] == bytes(4)  # no time in the gzip header


def test_shear_goes_into_the_sform_alone(tmp_path: Path) -> None:
    header = nibabel.load(
        nifti.write(image(affine=OBLIQUE), tmp_path / "a.nii", provenance=MADE)
    ).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    assert np.isfinite(header.get_qform()).all()


@pytest.mark.parametrize(("sform", "qform", "kept"), [(4, 1, 4), (0, 2, 2), (2, 0, 2), (0, 0, 0)])
def test_the_code_of_the_matrix_used_is_kept(
    tmp_path: Path, sform: int, qform: int, kept: int
) -> None:
    source = put(tmp_path / "in.nii", NOISE)
    stored = bytearray(source.read_bytes())
    stored[252:256] = np.array([qform, sform], "<i2").tobytes()
    source.write_bytes(stored)
    original = nifti.read(source)
    path = nifti.write(original.with_voxels(NOISE, T1), tmp_path / "out.nii", provenance=MADE)
    header = nibabel.load(path).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (kept, kept)
    assert np.array_equal(nifti.read(path).geometry.affine, original.geometry.affine)
    assert np.allclose(nibabel.load(path).affine, nibabel.load(source).affine, atol=1e-5)


def test_a_new_grid_gets_the_scanner_code(tmp_path: Path) -> None:
    original = nifti.read(put(tmp_path / "in.nii", NOISE, sform_code=4))
    moved = MedicalImage(NOISE, Geometry(OBLIQUE), T1, original.source)
    path = nifti.write(moved, tmp_path / "out.nii", provenance=MADE)
    assert int(nibabel.load(path).header["sform_code"]) == 1


def test_sform_goes_before_qform_before_spacing(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    for sform, qform, spacing_only in ((1, 1, False), (0, 1, False), (0, 0, True)):
        made = nibabel.Nifti1Image(NOISE, None)
        made.header.set_sform(OBLIQUE, sform)
        made.header.set_qform(TURNED, qform)
        made.to_filename(path)
        affine = nifti.read(path).geometry.affine
        wanted = made.header.get_base_affine() if spacing_only else OBLIQUE if sform else TURNED
        assert np.allclose(affine, wanted, atol=1e-5)
        assert np.allclose(affine, nibabel.load(path).affine, atol=1e-6)


def test_a_qfac_of_zero_is_one(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii", NOISE, np.diag([1.0, 2, 3, 1]), sform_code=0, qform_code=1)
    stored = bytearray(path.read_bytes())
    stored[76:80] = bytes(4)  # pixdim[0]
    path.write_bytes(stored)
    assert np.allclose(nifti.read(path).geometry.affine, np.diag([1.0, 2, 3, 1]))


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (11, 0.001)])
def test_units_become_millimetres(tmp_path: Path, unit: int, factor: float) -> None:
    affine = np.diag([0.5, 0.25, 0.75, 1.0])
    affine /= factor
    affine[3, 3] = 1
    path = put(tmp_path / "a.nii", NOISE, affine, xyzt_units=unit)
    assert np.allclose(nifti.read(path).geometry.spacing, (0.5, 0.25, 0.75))


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("version", [1, 2])
def test_every_number_type_in_both_byte_orders(
    tmp_path: Path, kind: str, order: str, version: int
) -> None:
    voxels = np.arange(24).reshape(2, 3, 4).astype(kind)
    maker = nibabel.Nifti2Image if version == 2 else nibabel.Nifti1Image
    header = maker.header_class(endianness=order)
    header.set_data_dtype(order + kind)
    maker(voxels.astype(order + kind), TURNED, header).to_filename(tmp_path / "a.nii.gz")
    read = nifti.read(tmp_path / "a.nii.gz")
    assert read.voxels.dtype == np.dtype(kind)
    assert np.array_equal(read.voxels, voxels)
    assert np.allclose(read.geometry.affine, TURNED)


@pytest.mark.parametrize("half", ["img", "hdr"])
@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("maker", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_a_pair_is_read_from_either_half(
    tmp_path: Path, half: str, ending: str, maker: type
) -> None:
    maker(NOISE, TURNED).to_filename(tmp_path / f"a.img{ending}")
    read = nifti.read(tmp_path / f"a.{half}{ending}")
    assert np.array_equal(read.voxels, NOISE)
    both = [(tmp_path / f"a.{name}{ending}").read_bytes() for name in ("hdr", "img")]
    assert read.source is not None
    assert read.source.sha256 == hashlib.sha256(b"".join(both)).hexdigest()


def test_scaling_is_applied_and_an_unset_one_is_not(tmp_path: Path) -> None:
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for slope, inter, wanted in (
        (2.5, -1024, voxels * 2.5 - 1024),
        (1, 0, voxels),
        (0, 7, voxels),
        (np.nan, np.nan, voxels),
    ):
        path = put(tmp_path / "a.nii", voxels)
        stored = bytearray(path.read_bytes())
        stored[112:120] = np.array([slope, inter], "<f4").tobytes()
        path.write_bytes(stored)
        read = nifti.read(path).voxels
        assert np.array_equal(read, wanted)
        assert np.array_equal(read, nibabel.load(path).get_fdata())


def test_a_frame_is_chosen_from_a_4d_file(tmp_path: Path) -> None:
    voxels = np.random.default_rng(1).normal(size=(4, 5, 6, 3)).astype(np.float32)
    for name in ("a.nii", "a.nii.gz"):
        path = put(tmp_path / name, voxels)
        for frame in range(3):
            assert np.array_equal(nifti.read(path, frame=frame).voxels, voxels[..., frame])
        with pytest.raises(UsageError, match=r"has 3 frames; choose one with --frame 0 to 2"):
            nifti.read(path)
        for frame in (3, -1):
            with pytest.raises(UsageError, match=rf"has no frame {frame}; --frame goes from"):
                nifti.read(path, frame=frame)


def test_trailing_axes_of_one_do_not_matter(tmp_path: Path) -> None:
    for shape in ((5, 6, 7, 1), (5, 6, 7, 1, 1)):
        path = put(tmp_path / "a.nii", NOISE.reshape(shape))
        assert np.array_equal(nifti.read(path).voxels, NOISE)
        assert np.array_equal(nifti.read(path, frame=0).voxels, NOISE)


def test_content_counts_and_the_name_does_not(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii", NOISE)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(path.read_bytes()))
    path.rename(tmp_path / "scan")
    assert np.array_equal(nifti.read(tmp_path / "packed.nii").voxels, NOISE)
    assert np.array_equal(nifti.read(tmp_path / "scan").voxels, NOISE)


def test_only_our_own_files_say_their_kind(tmp_path: Path) -> None:
    path = put(tmp_path / "a.nii", NOISE, descrip=b"SPM T1", intent_name=b"ct")
    assert nifti.read(path).kind is None
    path = nifti.write(image(None), tmp_path / "b.nii", provenance=MADE)
    assert nifti.read(path).kind is None


def test_version_2_stays_version_2_and_long_axes_need_it(tmp_path: Path) -> None:
    original = nifti.read(put(tmp_path / "in.nii", NOISE, version=2))
    path = nifti.write(original.with_voxels(NOISE, T1), tmp_path / "a.nii", provenance=MADE)
    assert isinstance(nibabel.load(path), nibabel.Nifti2Image)
    assert nifti.read(path).kind == T1
    long = np.arange(40000, dtype=np.float32).reshape(40000, 1, 1)
    path = nifti.write(image(voxels=long), tmp_path / "b.nii", provenance=MADE)
    assert np.array_equal(nifti.read(path).voxels, long)


def test_what_nifti_cannot_hold_is_refused(tmp_path: Path) -> None:
    flat = MedicalImage(NOISE[0], flat_detector(), Kind.parse("xray"))
    for original, name, reason in (
        (image(), "a.hdr", r"ends in \.nii or \.nii\.gz"),
        (flat, "a.nii", r"radiograph as \.png or \.dcm"),
        (MedicalImage(NOISE[0], flat_detector()), "a.nii", "NIfTI holds volumes"),
    ):
        with pytest.raises(UsageError, match=reason):
            nifti.write(original, tmp_path / name, provenance=MADE)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = nifti.write(image(), tmp_path / "a.nii.gz", provenance=MADE)
    with pytest.raises(OutputError, match="--overwrite"):
        nifti.write(image(CT), path, provenance=MADE)
    assert nifti.read(path).kind == T1
    assert nifti.read(nifti.write(image(CT), path, provenance=MADE, overwrite=True)).kind == CT


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_full_disk_leaves_no_half_file(tmp_path: Path, name: str) -> None:
    large = image(voxels=np.random.default_rng(3).random((64, 64, 64), np.float32))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        with pytest.raises(OutputError, match=rf"{name}: cannot be written .*free some space"):
            nifti.write(large, tmp_path / name, provenance=MADE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_labels_keep_their_numbers(tmp_path: Path) -> None:
    labels = np.arange(210, dtype=np.uint16).reshape(5, 6, 7) * 300
    path = nifti.write(image(None, voxels=labels), tmp_path / "a.nii.gz", provenance=MADE)
    assert np.array_equal(nifti.read(path).voxels, labels)
    assert nifti.read(path).voxels.dtype == np.uint16

"""Slices land where their headers say, whatever their names; values mean what headers say."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels import apply_voi_lut
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    RLELossless,
)

from medgen.errors import GeometryError, InputError, UsageError
from medgen.io import dicom
from medgen.io.dicom import pixels
from medgen.modality import Kind

RNG = np.random.default_rng(0)
HU = RNG.integers(-1000, 2000, (6, 5, 4)).astype(np.int16)
AFFINE = np.array([[-0.5, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 3.0, -40], [0, 0, 0, 1]])
CR = ComputedRadiographyImageStorage


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """A rotation about x, then y, then z, in radians."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        step = np.eye(3)
        i, j = [a for a in range(3) if a != axis]
        step[i, i] = step[j, j] = c
        step[i, j], step[j, i] = -s, s
        turn = step @ turn
    return turn


def test_slices_are_ordered_by_position_not_by_number(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    objects = plain_dicom.slices(HU, AFFINE)
    for number, one in zip((3, 1, 4, 2), objects, strict=True):
        one.InstanceNumber = number
    image = dicom.read(plain_dicom.save(objects, tmp_path / "ct"))
    assert np.array_equal(image.voxels, HU)
    assert image.voxels.dtype == np.int16
    assert image.kind == Kind.parse("ct")
    assert np.allclose(image.geometry.affine, AFFINE, atol=1e-6)


def test_slices_without_number_are_all_read(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    objects = plain_dicom.slices(HU, AFFINE)
    for one in objects[::2]:
        del one.InstanceNumber
    image = dicom.read(plain_dicom.save(objects, tmp_path / "ct"))
    assert np.array_equal(image.voxels, HU)


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(0.3, 5)] * 3))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_oblique_slices_keep_their_millimetres(
    tmp_path_factory: pytest.TempPathFactory,
    plain_dicom: SimpleNamespace,
    angles: tuple[float, float, float],
    spacing: tuple[float, float, float],
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) * spacing
    affine[:3, 3] = 10, -20, 30
    folder = plain_dicom.save(plain_dicom.slices(HU, affine), tmp_path_factory.mktemp("ct"))
    image = dicom.read(folder)
    assert np.array_equal(image.voxels, HU)
    assert np.allclose(image.geometry.affine, affine, atol=1e-5)


def test_every_slice_has_its_own_rescale(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    stored = RNG.integers(0, 4096, (6, 5, 4)).astype(np.uint16)
    objects = plain_dicom.slices(stored, AFFINE)
    for k, one in enumerate(objects):
        one.RescaleSlope, one.RescaleIntercept = str(k + 0.5), "-1024"
    image = dicom.read(plain_dicom.save(objects, tmp_path / "ct"))
    assert image.voxels.dtype == np.float32
    assert np.array_equal(image.voxels, stored * (np.arange(4) + 0.5) - 1024)


def test_unsigned_pixels_become_hounsfield_units(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    objects = plain_dicom.slices((HU + 1024).astype(np.uint16), AFFINE)
    for one in objects:
        one.RescaleIntercept = "-1024"
    image = dicom.read(plain_dicom.save(objects, tmp_path / "ct"))
    assert np.array_equal(image.voxels, HU)


def test_mri_says_no_contrast(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    objects = plain_dicom.slices(np.abs(HU), AFFINE, "MR")
    for one in objects:
        one.SeriesDescription = "t1 mprage"
        del one.RescaleSlope, one.RescaleIntercept
    image = dicom.read(plain_dicom.save(objects, tmp_path / "mr"))
    assert image.kind == Kind.parse("mri")
    assert np.array_equal(image.voxels, np.abs(HU))


@pytest.mark.parametrize(("between", "spacing"), [(None, 3.0), ("4.5", 4.5)])
def test_one_slice_is_a_volume_of_one(
    tmp_path: Path, plain_dicom: SimpleNamespace, between: str | None, spacing: float
) -> None:
    one = plain_dicom.slices(HU, AFFINE)[2]
    if between:
        one.SpacingBetweenSlices = between
    image = dicom.read(plain_dicom.save(one, tmp_path / "slice.dcm"))
    assert np.array_equal(image.voxels, HU[:, :, 2:3])
    assert np.allclose(image.geometry.spacing, (0.5, 0.7, spacing))
    assert np.allclose(image.geometry.affine[:3, 3], AFFINE[:3, 3] + 2 * AFFINE[:3, 2])


def test_one_slice_without_thickness_is_refused(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    one = plain_dicom.slices(HU, AFFINE)[0]
    del one.SliceThickness
    with pytest.raises(GeometryError, match="thickness"):
        dicom.read(plain_dicom.save(one, tmp_path / "slice.dcm"))


def two_series(folder: Path, plain_dicom: SimpleNamespace) -> Path:
    other = plain_dicom.slices(HU[:, :, :3] + 1, AFFINE)
    for one in other:
        one.SeriesInstanceUID = "1.2.3.4.77"
    plain_dicom.save(plain_dicom.slices(HU, AFFINE), folder / "a")
    plain_dicom.save(other, folder / "b" / "c")
    (folder / "README.txt").write_text("not DICOM")
    return folder


def test_several_series_are_listed_without_a_name(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    folder = two_series(tmp_path, plain_dicom)
    with pytest.raises(UsageError) as caught:
        dicom.read(folder)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert "--series" in text
    assert "1 = CT, 4 of 6 x 5" in text
    assert "2 = CT, 3 of 6 x 5" in text
    assert "Doe" not in text
    assert "\n" not in text


@pytest.mark.parametrize(("series", "slices"), [("1", 4), ("2", 3), ("4.77", 3), ("….3.4.2", 4)])
def test_series_is_chosen_by_number_or_end_of_uid(
    tmp_path: Path, plain_dicom: SimpleNamespace, series: str, slices: int
) -> None:
    image = dicom.read(two_series(tmp_path, plain_dicom), series=series)
    assert image.voxels.shape[2] == slices


def test_a_series_that_is_not_there_is_a_usage_error(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    with pytest.raises(UsageError, match="no series match"):
        dicom.read(two_series(tmp_path, plain_dicom), series="9.9")


@pytest.mark.parametrize("is_scout", [True, False])
def test_one_slice_of_another_series_is_left_aside_and_told_unless_it_is_a_scout(
    tmp_path: Path, plain_dicom: SimpleNamespace, caplog: pytest.LogCaptureFixture, is_scout: bool
) -> None:
    other = plain_dicom.slices(HU[:, :, :1], AFFINE)[0]
    other.SeriesInstanceUID = "1.2.3.4.99"
    other.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    other.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if is_scout else "AXIAL"]
    folder = plain_dicom.save([*plain_dicom.slices(HU, AFFINE), other], tmp_path / "ct")
    assert np.array_equal(dicom.read(folder).voxels, HU)
    if is_scout:
        assert not caplog.messages
        return
    (said,) = caplog.messages
    assert "(1 = CT, 4 of 6 x 5" in said
    assert "left out, unless --series chooses it: 2 = CT, 1 of 6 x 5" in said
    caplog.clear()
    assert dicom.read(folder, series="2").voxels.shape == (6, 5, 1)
    assert not caplog.messages


def test_echoes_are_chosen_by_frame(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    first, second = (plain_dicom.slices(np.abs(HU) + add, AFFINE, "MR") for add in (0, 5))
    for echo, objects in (("80", second), ("20", first)):
        for one in objects:
            one.EchoTime = echo
    folder = plain_dicom.save([*second, *first], tmp_path / "mr")
    with pytest.raises(UsageError, match="--frame 0 to 1"):
        dicom.read(folder)
    assert np.array_equal(dicom.read(folder, frame=1).voxels, np.abs(HU) + 5)
    with pytest.raises(UsageError, match="--frame"):
        dicom.read(folder, frame=2)


def enhanced(
    plain_dicom: SimpleNamespace, volumes: list[np.ndarray], sop_class: str, order: np.ndarray
) -> Dataset:
    """A multi-frame object of several volumes on AFFINE, its frames in any order."""
    frames, groups = [], []
    for volume in volumes:
        for one in plain_dicom.slices(volume, AFFINE):
            plane, pose, rescale = Dataset(), Dataset(), Dataset()
            pose.ImagePositionPatient = one.ImagePositionPatient
            rescale.RescaleIntercept = str(len(groups))
            rescale.RescaleSlope, rescale.RescaleType = "1", "HU"
            plane.PlanePositionSequence = [pose]
            plane.PixelValueTransformationSequence = [rescale]
            frames.append(np.frombuffer(one.PixelData, np.int16).reshape(one.Rows, one.Columns))
            groups.append(plane)
    measures, direction, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = one.PixelSpacing, one.SliceThickness
    direction.ImageOrientationPatient = one.ImageOrientationPatient
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [direction]
    made = plain_dicom.object(np.stack([frames[n] for n in order]), sop_class, "CT")
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [groups[n] for n in order]
    return made


def test_enhanced_frames_are_ordered_by_position(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    made = enhanced(plain_dicom, [HU], EnhancedCTImageStorage, np.array([2, 0, 3, 1]))
    image = dicom.read(plain_dicom.save(made, tmp_path / "enhanced.dcm"))
    assert np.array_equal(image.voxels, HU + np.arange(4))
    assert np.allclose(image.geometry.affine, AFFINE, atol=1e-6)


def test_enhanced_volumes_are_chosen_by_frame(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    made = enhanced(plain_dicom, [HU, HU + 1], EnhancedMRImageStorage, np.arange(8))
    path = plain_dicom.save(made, tmp_path / "enhanced.dcm")
    with pytest.raises(UsageError, match="holds 2 volumes"):
        dicom.read(path)
    assert np.array_equal(dicom.read(path, frame=1).voxels, HU + 1 + np.arange(4, 8))


def test_enhanced_with_lying_frame_count_is_refused(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    made = enhanced(plain_dicom, [HU], EnhancedCTImageStorage, np.arange(4))
    made.NumberOfFrames = 2_000_000_000
    with pytest.raises(InputError, match="4 frames are described"):
        dicom.read(plain_dicom.save(made, tmp_path / "enhanced.dcm"))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_slices_are_the_same_slices(
    tmp_path: Path, plain_dicom: SimpleNamespace, syntax: str
) -> None:
    if syntax == JPEG2000Lossless:
        pytest.importorskip("openjpeg")
    hu = RNG.integers(-1000, 2000, (70, 66, 2)).astype(np.int16)
    objects = plain_dicom.slices(hu, AFFINE)
    for one in objects:
        one.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(dicom.read(plain_dicom.save(objects, tmp_path / "ct")).voxels, hu)


def test_missing_decoder_names_the_extra(
    tmp_path: Path, plain_dicom: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = plain_dicom.slices(HU, AFFINE)[0]
    one.compress(RLELossless)
    path = plain_dicom.save(one, tmp_path / "slice.dcm")
    monkeypatch.setattr(pixels, "get_decoder", lambda _: SimpleNamespace(is_available=False))
    with pytest.raises(InputError, match=r"pip install medgen\[dicom\]"):
        dicom.read(path)


GREY = RNG.integers(0, 4096, (7, 9)).astype(np.uint16)


def radiograph(
    folder: Path, plain_dicom: SimpleNamespace, **attributes: object
) -> tuple[Path, Dataset]:
    made = plain_dicom.object(GREY, CR, "CR", BitsStored=12, HighBit=11, **attributes)
    return plain_dicom.save(made, folder / "chest.dcm"), made


def test_a_plain_radiograph_is_its_stored_values(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    image = dicom.read(radiograph(tmp_path, plain_dicom)[0])
    assert np.array_equal(image.voxels, GREY)
    assert image.kind == Kind.parse("xray")
    assert not image.spacing_is_known


def test_monochrome1_is_turned_bright(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    path, _ = radiograph(tmp_path, plain_dicom, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(dicom.read(path).voxels, 4095 - GREY.astype(int))


@pytest.mark.parametrize("shape", [None, "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_window_is_pydicoms(
    tmp_path: Path, plain_dicom: SimpleNamespace, shape: str | None, photometric: str
) -> None:
    path, made = radiograph(
        tmp_path,
        plain_dicom,
        WindowCenter=["1500", "7"],
        WindowWidth=["2000", "9"],
        VOILUTFunction=shape,
        PhotometricInterpretation=photometric,
    )
    expected = apply_voi_lut(GREY, made)
    if photometric == "MONOCHROME1":
        expected = 4095 - expected
    assert np.allclose(dicom.read(path).voxels, expected, atol=1e-3)


def test_the_lookup_table_is_pydicoms(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 16])
    table.add_new("LUTData", "US", (np.arange(4096)[::-1] * 16).tolist())
    path, made = radiograph(tmp_path, plain_dicom, VOILUTSequence=[table])
    assert np.array_equal(dicom.read(path).voxels, apply_voi_lut(GREY, made))
    assert np.array_equal(dicom.read(path).voxels, (4095 - GREY.astype(int)) * 16)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_signed_table_may_begin_below_zero(
    tmp_path: Path, plain_dicom: SimpleNamespace, syntax: UID
) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "SS", [4, -2, 16])
    table.add_new("LUTData", "US", [0, 50, 100, 150])
    signed = (np.arange(16, dtype=np.int16) % 4 - 2).reshape(4, 4)
    made = plain_dicom.object(signed, CR, "CR", PixelRepresentation=1, VOILUTSequence=[table])
    made.file_meta.TransferSyntaxUID = syntax
    path = plain_dicom.save(made, tmp_path / "chest.dcm")
    assert np.array_equal(np.unique(dicom.read(path).voxels), [0, 50, 100, 150])


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing"])
def test_radiograph_spacing_is_row_then_column(
    tmp_path: Path, plain_dicom: SimpleNamespace, keyword: str
) -> None:
    image = dicom.read(radiograph(tmp_path, plain_dicom, **{keyword: ["0.2", "0.3"]})[0])
    assert image.spacing_is_known
    assert np.allclose(image.geometry.spacing[:2], (0.2, 0.3))


def test_multiframe_radiograph_asks_for_a_frame(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    frames = np.stack([GREY, GREY + 1])
    made = plain_dicom.object(frames, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, "CR")
    path = plain_dicom.save(made, tmp_path / "frames.dcm")
    with pytest.raises(UsageError, match="--frame 0 to 1"):
        dicom.read(path)
    assert np.array_equal(dicom.read(path, frame=1).voxels, GREY + 1)


def test_hash_names_the_slices_not_the_file_names(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    objects = plain_dicom.slices(HU, AFFINE)
    first = dicom.read(plain_dicom.save(objects, tmp_path / "a"))
    again = dicom.read(plain_dicom.save(objects[::-1], tmp_path / "b"))
    assert first.source is not None
    assert again.source is not None
    assert first.source.sha256 == again.source.sha256

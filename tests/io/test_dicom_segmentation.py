"""A DICOM segmentation lies where its frames say, whatever their order."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid

from medgen.errors import InputError
from medgen.io.dicom.parse import MAX_INFLATED
from medgen.io.dicom.segmentation import read_segmentation

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
SPACING, STEP = (2.0, 1.5), 3.0  # rows, columns; slices, mm


def item(**values: object) -> Dataset:
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def seg(
    masks: dict[tuple[int, int], np.ndarray], path: Path, kind: str = "BINARY", **more: object
) -> Path:
    """A SEG object of planes (rows, columns) by segment and slice."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = SEG, generate_uid(), "SEG"
    planes = np.stack(list(masks.values()))
    made.NumberOfFrames, made.Rows, made.Columns = planes.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 1 if kind == "BINARY" else 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation, made.SegmentationType = 0, kind
    data = pack_bits(planes.ravel()) if bits == 1 else planes.astype(np.uint8).tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB"
    shared = item(
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=Sequence(
            [item(PixelSpacing=list(SPACING), SpacingBetweenSlices=STEP, SliceThickness=STEP)]
        ),
    )
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(
        item(
            PlanePositionSequence=Sequence(
                [item(ImagePositionPatient=[10, 20, 30 + STEP * place])]
            ),
            SegmentIdentificationSequence=Sequence([item(ReferencedSegmentNumber=number)]),
        )
        for number, place in masks
    )
    for name, value in more.items():
        setattr(made, name, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)
    return path


def plane(row: int, column: int, value: int = 1) -> np.ndarray:
    found = np.zeros((3, 5), np.uint8)  # 15 pixels: frames do not end at bytes
    found[row, column] = value
    return found


def test_frames_lie_where_they_say(tmp_path: Path) -> None:
    masks = {(2, 4): plane(0, 4), (1, 0): plane(1, 2), (1, 1): plane(2, 3)}
    image = read_segmentation(seg(masks, tmp_path / "a.dcm"))
    assert image.voxels.shape == (5, 3, 5)
    found = {tuple(at): image.voxels[tuple(at)] for at in np.argwhere(image.voxels).tolist()}
    assert found == {(2, 1, 0): 1, (3, 2, 1): 1, (4, 0, 4): 2}
    lps = image.geometry.affine_lps
    assert (lps @ [4, 2, 1, 1])[:3].tolist() == [10 + 4 * 1.5, 20 + 2 * 2.0, 33.0]


def test_rounded_positions_of_many_frames_are_even(tmp_path: Path) -> None:
    """Steps of .625 mm in hundredths are .62 and .63, and 59 of the smaller are none too few."""
    masks = {(1, round(0.625 * at, 2) / STEP): plane(0, 0) for at in range(60)}
    image = read_segmentation(seg(masks, tmp_path / "a.dcm"))  # type: ignore[arg-type]
    assert image.voxels.shape[2] == 60
    assert image.geometry.spacing[2] == pytest.approx(0.625, abs=1e-3)


def test_a_deflated_segmentation_inflates_only_so_far(tmp_path: Path) -> None:
    path = seg({(1, 0): plane(0, 0)}, tmp_path / "a.dcm")
    bomb = dcmread(path)
    bomb.add_new(0x00091001, "OB", bytes(MAX_INFLATED + 2))
    bomb.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    bomb.save_as(tmp_path / "bomb.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="inflates to more than"):
        read_segmentation(tmp_path / "bomb.dcm")


def test_a_fractional_segment_is_where_it_is_more_than_half(tmp_path: Path) -> None:
    masks = {(1, 0): plane(1, 2, 200) + plane(0, 0, 100), (1, 1): plane(1, 2, 255)}
    path = seg(masks, tmp_path / "a.dcm", "FRACTIONAL", MaximumFractionalValue=255)
    assert np.argwhere(read_segmentation(path).voxels).tolist() == [[2, 1, 0], [2, 1, 1]]


def test_a_number_beyond_a_byte_stays_what_it_is(tmp_path: Path) -> None:
    image = read_segmentation(seg({(300, 0): plane(1, 2), (256, 1): plane(1, 2)}, tmp_path / "a"))
    assert sorted(np.unique(image.voxels).tolist()) == [0, 256, 300]


def test_frames_beside_each_other_are_refused(tmp_path: Path) -> None:
    path = seg({(1, 0): plane(0, 0), (1, 1): plane(0, 0)}, tmp_path / "a.dcm")
    made = dcmread(path)
    moved = made.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    moved.ImagePositionPatient = [10, 22, 33]
    made.save_as(path)
    with pytest.raises(InputError, match="lie beside each other"):
        read_segmentation(path)


def test_a_mask_of_nothing_is_a_mask(tmp_path: Path) -> None:
    image = read_segmentation(seg({(1, 0): 0 * plane(0, 0)}, tmp_path / "a.dcm"))
    assert not image.voxels.any()
    assert image.geometry.spacing == (1.5, 2.0, 3.0)


def test_what_is_none_is_refused(plain_dicom: SimpleNamespace, tmp_path: Path) -> None:
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    (one, *_) = plain_dicom.slices(volume, np.eye(4))
    path = plain_dicom.save(one, tmp_path / "ct.dcm")
    with pytest.raises(InputError, match="is DICOM but no segmentation"):
        read_segmentation(path)
    path = seg({(1, 0): plane(0, 0), (1, 1): plane(0, 0), (1, 4): plane(0, 0)}, tmp_path / "b.dcm")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="is damaged DICOM"):
        read_segmentation(path)
    masks = {(1, 0): plane(0, 0), (1, 1): plane(0, 0), (1, 2.4): plane(0, 0)}  # type: ignore[dict-item]
    with pytest.raises(InputError, match="unevenly spaced"):
        read_segmentation(seg(masks, tmp_path / "c.dcm"))

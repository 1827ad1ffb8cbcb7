"""What is written comes back with its values and millimetres, and says it is synthetic."""

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComputedRadiographyImageStorage

from medgen.errors import GeometryError, OutputError, UsageError
from medgen.io import dicom
from medgen.io.detector import flat_detector
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Kind

RNG = np.random.default_rng(0)
PROVENANCE = Provenance("translate", "base", "0123456789abcdef", seed=7, steps=8)
HU = RNG.integers(-1024, 3071, (5, 4, 3)).astype(np.int16)
AFFINE = np.array([[-0.5, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 3.0, -40], [0, 0, 0, 1]])
CT, MR, XRAY = Kind.parse("ct"), Kind.parse("mri:t2"), Kind.parse("xray")


def ct(affine: np.ndarray = AFFINE) -> MedicalImage:
    return MedicalImage(HU, Geometry(affine), CT)


def xray(*, spacing_is_known: bool = True) -> MedicalImage:
    grey = RNG.integers(0, 3000, (8, 6)).astype(np.uint16)
    return MedicalImage(grey, flat_detector(0.2, 0.3), XRAY, spacing_is_known=spacing_is_known)


def objects(path: Path) -> list[Dataset]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [pydicom.dcmread(file) for file in files]


def millimetres(image: MedicalImage) -> dict[tuple[float, ...], float]:
    """Each voxel's value by where it lies, RAS+ mm."""
    index = np.indices(image.voxels.shape).reshape(3, -1)
    where = image.geometry.affine[:3, :3] @ index + image.geometry.affine[:3, 3:]
    places = (tuple(round(x + 0.0, 3) + 0.0 for x in place) for place in where.T)
    return dict(zip(places, image.voxels.ravel().tolist(), strict=True))


AXES = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]


@pytest.mark.parametrize(("order", "signs"), AXES)
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_every_voxel_keeps_its_place(
    tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...], angle: float
) -> None:
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ (np.eye(3)[:, order] * signs * np.array([0.5, 0.75, 3.0]))
    affine[:3, 3] = 10, -20, 30
    before = ct(affine)
    after = dicom.read(dicom.write(before, tmp_path / "ct", provenance=PROVENANCE))
    assert millimetres(after) == millimetres(before)
    if np.linalg.det(affine) > 0:
        assert np.array_equal(after.voxels, HU)
        assert np.allclose(after.geometry.affine, affine, atol=1e-5)


def test_whole_mri_values_survive_exactly(tmp_path: Path) -> None:
    image = MedicalImage(HU.astype(np.float32) + 1024, Geometry(AFFINE), MR)
    after = dicom.read(dicom.write(image, tmp_path / "mr", provenance=PROVENANCE))
    assert np.array_equal(after.voxels, image.voxels)


@pytest.mark.parametrize(("modality", "kind"), [("CT", CT), ("MR", MR)])
@pytest.mark.parametrize("pixels", [np.int16, np.uint16])
def test_what_did_not_change_is_stored_as_it_was(
    plain_dicom: SimpleNamespace, tmp_path: Path, modality: str, kind: Kind, pixels: type
) -> None:
    """Slope and intercept of every slice are the source's own."""
    slices = plain_dicom.slices((HU + 1024).astype(pixels), AFFINE, modality)
    for one, slope in zip(slices, ("0.5", "0.48828125", "2"), strict=True):
        one.RescaleSlope, one.RescaleIntercept = slope, "-1024.5"
    image = dicom.read(plain_dicom.save(slices, tmp_path / "source"))
    voxels = image.voxels.copy()
    changed = np.zeros(voxels.shape, bool)
    changed[1:3, 1:3] = True
    voxels[changed] += 10.3
    woven = image.with_voxels(voxels, kind)
    out = dicom.write(woven, tmp_path / "out", provenance=PROVENANCE, keep_steps=True)
    again = dicom.read(out)
    assert np.array_equal(again.voxels[~changed], image.voxels[~changed])
    assert np.abs(again.voxels[changed] - voxels[changed]).max() <= 1  # half of the largest slope
    by_place = [
        sorted(each, key=lambda one: one.ImagePositionPatient[2]) for each in (slices, objects(out))
    ]
    for k, (before, after) in enumerate(zip(*by_place, strict=True)):
        kept = ~changed[:, :, k].T
        assert np.array_equal(before.pixel_array[kept], after.pixel_array[kept])
        assert (before.RescaleSlope, before.RescaleIntercept) == (
            after.RescaleSlope,
            after.RescaleIntercept,
        )


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_any_mri_survives_to_a_65535th_of_its_range(tmp_path: Path, scale: float) -> None:
    voxels = (RNG.normal(size=(5, 4, 3)) * scale).astype(np.float32)
    image = MedicalImage(voxels, Geometry(AFFINE), MR)
    after = dicom.read(dicom.write(image, tmp_path / "mr", provenance=PROVENANCE))
    assert np.abs(after.voxels - voxels).max() <= np.ptp(voxels) / 65535
    assert after.kind == Kind.parse("mri")


@pytest.mark.parametrize("kind", [CT, MR])
def test_a_standard_deviation_is_told_from_the_image_it_is_of(tmp_path: Path, kind: Kind) -> None:
    image = MedicalImage(np.abs(HU) / 10, Geometry(AFFINE), kind)
    spread = replace(PROVENANCE, is_sigma=True)
    plain = objects(dicom.write(image, tmp_path / "mean", provenance=PROVENANCE))[0]
    sigma = objects(dicom.write(image, tmp_path / "sigma", provenance=spread))[0]
    assert list(sigma.ImageType) == [*plain.ImageType, "STD_DEVIATION"]
    assert sigma.SeriesDescription.startswith("SYNTHETIC standard deviation of")
    assert "standard deviation" in sigma.DerivationDescription
    assert (sigma.SyntheticData, sigma.Modality) == ("YES", plain.Modality)
    assert len({plain.SeriesNumber, sigma.SeriesNumber}) == 2
    assert len({plain.SeriesInstanceUID, sigma.SeriesInstanceUID}) == 2
    low = sigma.WindowCenter - sigma.WindowWidth / 2
    assert 0 <= low < low + sigma.WindowWidth <= 310  # no window of soft tissue


def test_hounsfield_units_are_rounded_and_clipping_is_told(tmp_path: Path) -> None:
    voxels = HU + 0.25
    voxels[0, 0, 0], voxels[1, 1, 1] = 1e6, -1e6
    path = dicom.write(
        MedicalImage(voxels, Geometry(AFFINE), CT), tmp_path / "ct", provenance=PROVENANCE
    )
    wanted = HU.copy()
    wanted[0, 0, 0], wanted[1, 1, 1] = 32767, -32768
    assert np.array_equal(dicom.read(path).voxels, wanted)
    assert "2 voxels clipped" in objects(path)[0].DerivationDescription


@pytest.mark.parametrize(("known", "modality"), [(True, "DX"), (False, "CR")])
def test_radiographs_come_back_grey_for_grey(tmp_path: Path, known: bool, modality: str) -> None:
    image = xray(spacing_is_known=known)
    path = dicom.write(image, tmp_path / "chest.dcm", provenance=PROVENANCE)
    after = dicom.read(path)
    assert np.array_equal(after.voxels, image.voxels)
    assert after.spacing_is_known is known
    if known:
        assert np.allclose(after.geometry.affine, image.geometry.affine)
    assert objects(path)[0].Modality == modality


def test_a_radiograph_can_be_a_folder(tmp_path: Path) -> None:
    path = dicom.write(xray(), tmp_path / "chest_xray", provenance=PROVENANCE)
    assert [file.name for file in path.iterdir()] == ["0001.dcm"]


def test_a_radiograph_from_the_side_says_so(tmp_path: Path) -> None:
    lateral = Kind.parse("xray:lateral")
    detector = flat_detector(0.2, 0.3, columns="posterior")
    side = replace(xray(), kind=lateral, geometry=detector)
    written = dicom.write(side, tmp_path / "side.dcm", provenance=PROVENANCE)
    assert pydicom.dcmread(written).ViewPosition == "LL"
    assert dicom.read(written).kind == lateral
    known = pydicom.dcmread(written)
    known.ViewPosition = "RL"
    known.save_as(tmp_path / "right.dcm")
    again = dicom.read(tmp_path / "right.dcm")
    for name, one in (("dx", again), ("known", replace(again, spacing_is_known=True))):
        made = dicom.write(one, tmp_path / f"{name}.dcm", provenance=PROVENANCE)
        assert pydicom.dcmread(made).ViewPosition == "RL"


@pytest.mark.parametrize(
    ("said", "written"),
    [(["P", "F"], ["P", "F"]), (["R", "F"], ["R", "F"]), (["L", "H"], ["L", "H"]), (None, "")],
)
def test_a_radiograph_keeps_the_orientation_that_its_header_says(
    tmp_path: Path, plain_dicom: SimpleNamespace, said: list[str] | None, written: list[str] | str
) -> None:
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    made = plain_dicom.object(
        pixels, ComputedRadiographyImageStorage, "CR", PatientOrientation=said, PixelSpacing=[1, 1]
    )
    source = dicom.read(plain_dicom.save(made, tmp_path / "a.dcm"))
    after = pydicom.dcmread(dicom.write(source, tmp_path / "b.dcm", provenance=PROVENANCE))
    assert after["PatientOrientation"].value == written


def test_fractional_grey_is_spread_over_16_bits(tmp_path: Path) -> None:
    grey = RNG.random((8, 6)).astype(np.float32)
    image = MedicalImage(grey, flat_detector(), XRAY)
    after = dicom.read(dicom.write(image, tmp_path / "x.dcm", provenance=PROVENANCE)).voxels
    assert after.min() == 0
    assert after.max() == 65535
    assert np.allclose(after / 65535, (grey - grey.min()) / np.ptp(grey), atol=1e-5)


@pytest.mark.parametrize("image", [ct(), ct().with_voxels(HU, MR), xray()], ids=["ct", "mr", "dx"])
def test_every_object_says_it_is_synthetic(tmp_path: Path, image: MedicalImage) -> None:
    for made in objects(dicom.write(image, tmp_path / "out", provenance=PROVENANCE)):
        assert made.SyntheticData == "YES"
        assert list(made.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert made.DerivationDescription == PROVENANCE.sentence
        assert made.SeriesDescription.startswith("SYNTHETIC")
        assert made.Manufacturer == "medgen"
        (equipment,) = made.ContributingEquipmentSequence
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert equipment.ContributionDescription == PROVENANCE.sentence
        assert made.PatientIdentityRemoved == "YES"
        assert made.DeidentificationMethod
        assert str(made.PatientName).startswith("SYNTHETIC^")
        assert made.PatientID.startswith("SYN-")
        assert made.BurnedInAnnotation == "NO"
        assert made.SpecificCharacterSet == "ISO_IR 192"
        assert made.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        assert made.StudyID
        assert made.StudyDate


def test_uids_are_new_valid_and_one_for_every_slice(tmp_path: Path) -> None:
    made = objects(dicom.write(ct(), tmp_path / "ct", provenance=PROVENANCE))
    for one in made:
        for uid in (one.SOPInstanceUID, one.SeriesInstanceUID, one.StudyInstanceUID):
            assert uid.is_valid
            assert uid.startswith("2.25.")
    assert len({one.SOPInstanceUID for one in made}) == 3
    assert len({one.SeriesInstanceUID for one in made}) == 1
    assert [one.InstanceNumber for one in made] == [1, 2, 3]


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    for image in (ct(), xray()):
        paths = [
            dicom.write(image, tmp_path / f"{image.kind}{run}", provenance=PROVENANCE)
            for run in range(2)
        ]
        first, again = ([f.read_bytes() for f in sorted(p.iterdir())] for p in paths)
        assert first == again


@pytest.mark.parametrize(
    "other",
    [
        Provenance("translate", "base", "0123456789abcdef", seed=8, steps=8),
        Provenance("translate", "base", "0123456789abcdeX", seed=7, steps=8),
    ],
)
def test_another_seed_or_model_is_another_series(tmp_path: Path, other: Provenance) -> None:
    a = objects(dicom.write(ct(), tmp_path / "a", provenance=PROVENANCE))[0]
    b = objects(dicom.write(ct(), tmp_path / "b", provenance=other))[0]
    assert a.SeriesInstanceUID != b.SeriesInstanceUID
    assert a.SOPInstanceUID != b.SOPInstanceUID
    assert a.StudyInstanceUID == b.StudyInstanceUID


def test_two_results_of_one_source_share_study_and_place(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    source = dicom.read(plain_dicom.save(plain_dicom.slices(HU, AFFINE), tmp_path / "in"))
    made = [
        objects(dicom.write(image, tmp_path / name, provenance=PROVENANCE))[0]
        for name, image in (
            ("t1", source.with_voxels(HU + 1, Kind.parse("mri:t1"))),
            ("ct", source),
        )
    ]
    assert made[0].StudyInstanceUID == made[1].StudyInstanceUID != "1.2.3.4.1"
    assert made[0].FrameOfReferenceUID == made[1].FrameOfReferenceUID != "1.2.3.4.3"
    assert made[0].PatientID == made[1].PatientID
    assert made[0].SeriesInstanceUID != made[1].SeriesInstanceUID
    assert "SourceImageSequence" not in made[0]


def test_keep_patient_keeps_study_and_refers_to_each_slice(
    tmp_path: Path, plain_dicom: SimpleNamespace
) -> None:
    slices = plain_dicom.slices(HU, AFFINE, "MR")
    for one in slices:
        one.SpecificCharacterSet = "ISO_IR 100"
        one.PatientName, one.StudyDate, one.InstitutionName = "Müller^Zoë", "20200102", "Hospital"
    source = dicom.read(plain_dicom.save(slices, tmp_path / "in"))
    path = dicom.write(
        source.with_voxels(HU, CT), tmp_path / "out", provenance=PROVENANCE, keep_patient=True
    )
    for made, one in zip(objects(path), slices, strict=True):
        assert str(made.PatientName) == "Müller^Zoë"
        assert (made.PatientID, made.StudyDate) == ("MRN-4711", "20200102")
        assert made.StudyInstanceUID == one.StudyInstanceUID
        assert made.FrameOfReferenceUID == one.FrameOfReferenceUID
        assert made.SeriesInstanceUID != one.SeriesInstanceUID
        assert made.PatientIdentityRemoved == "NO"
        assert made.SyntheticData == "YES"
        assert "InstitutionName" not in made
        (reference,) = made.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == one.SOPInstanceUID
        assert reference.SpatialLocationsPreserved == "YES"
        assert np.allclose(made.ImagePositionPatient, one.ImagePositionPatient)


def test_there_is_no_patient_to_keep_without_dicom(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--keep-patient"):
        dicom.write(ct(), tmp_path / "ct", provenance=PROVENANCE, keep_patient=True)
    assert not list(tmp_path.iterdir())


def test_a_lossy_source_stays_known_as_lossy(tmp_path: Path, plain_dicom: SimpleNamespace) -> None:
    slices = plain_dicom.slices(HU, AFFINE)
    for one in slices:
        one.LossyImageCompression = "01"
    source = dicom.read(plain_dicom.save(slices, tmp_path / "in"))
    made = objects(dicom.write(source, tmp_path / "out", provenance=PROVENANCE))
    assert {one.LossyImageCompression for one in made} == {"01"}


@pytest.mark.parametrize(("part", "face"), [("HEAD", "YES"), ("CHEST", "NO"), (None, "YES")])
def test_heads_say_that_a_face_may_be_seen(
    tmp_path: Path, plain_dicom: SimpleNamespace, part: str | None, face: str
) -> None:
    slices = plain_dicom.slices(HU, AFFINE)
    for one in slices:
        one.BodyPartExamined = part or ""
    source = dicom.read(plain_dicom.save(slices, tmp_path / "in"))
    made = objects(dicom.write(source, tmp_path / "out", provenance=PROVENANCE))[0]
    assert made.RecognizableVisualFeatures == face
    assert made.get("BodyPartExamined") == part


def test_decimal_strings_fit_16_characters(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[:3, :3] = affine[:3, :3] @ np.linalg.qr(RNG.normal(size=(3, 3)))[0] * 0.123456789012345
    image = MedicalImage(HU / 7.0, Geometry(np.linalg.qr(affine)[0] * 1.0), MR)
    path = dicom.write(image, tmp_path / "mr", provenance=PROVENANCE)
    for made in objects(path):
        for element in made.iterall():
            if element.VR == "DS" and element.value not in (None, ""):
                values = element.value if element.VM > 1 else [element.value]
                assert all(len(str(value)) <= 16 for value in values)


def test_a_sheared_grid_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for row, column in ((0, 1), (0, 2)):
        affine = AFFINE.copy()
        affine[row, column] = 0.1
        with pytest.raises(GeometryError, match="sheared"):
            dicom.write(ct(affine), tmp_path / "ct", provenance=PROVENANCE)
    assert not list(tmp_path.iterdir())


def test_a_volume_is_not_one_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        dicom.write(ct(), tmp_path / "ct.dcm", provenance=PROVENANCE)


def test_an_unknown_kind_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="CT, MRI or X-ray"):
        dicom.write(MedicalImage(HU, Geometry(AFFINE)), tmp_path / "x", provenance=PROVENANCE)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    path = dicom.write(ct(), tmp_path / "ct", provenance=PROVENANCE)
    with pytest.raises(OutputError, match="exists"):
        dicom.write(ct(), path, provenance=PROVENANCE)
    dicom.write(ct(), path, provenance=PROVENANCE, overwrite=True)
    assert len(objects(path)) == 3


def test_a_failure_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def full_disk(self: Dataset, path: Path, **_: object) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        Path(path).write_bytes(b"half")

    monkeypatch.setattr(Dataset, "save_as", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        dicom.write(ct(), tmp_path / "ct", provenance=PROVENANCE)
    assert not list(tmp_path.iterdir())

"""A region of another scan comes to its place, in the scan's unit, and nothing else changes."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from medgen.errors import InputError, OutputError, UsageError
from medgen.io import files
from medgen.io.geometry import Geometry
from medgen.io.image import MedicalImage
from medgen.modality import Kind
from medgen.tasks.given import Given
from medgen.tasks.translate import Maker, TranslateConfig, Translation
from medgen.tasks.weaving.bank import noise_ratio
from medgen.tasks.weaving.from_scans import Other, WithConfig, fuse, lent
from medgen.tasks.weaving.from_scans_files import Lender, write_woven_with
from medgen.tasks.weaving.output import Written
from tests.tasks.weave_toy import dim_radiograph, save_mask

CT, T1, T2 = (Kind.parse(word) for word in ("ct", "mri:t1", "mri:t2"))
SHARP = WithConfig(feather=0.0, force=True, device="cpu")
SHAPE = (24, 22, 20)
AFFINE = np.diag([2.0, 2, 2, 1])
BOX = (slice(9, 14), slice(8, 13), slice(7, 12))


def noisy(kind: Kind, level: float, seed: int, affine: np.ndarray = AFFINE) -> MedicalImage:
    """Noise of 5 on a level, as whole numbers."""
    values = level + np.random.default_rng(seed).normal(0, 5, SHAPE)
    return MedicalImage(np.rint(values).astype(np.int16), Geometry(affine), kind)


def box() -> np.ndarray:
    region = np.zeros(SHAPE, bool)
    region[BOX] = True
    return region


def test_of_one_kind_and_grid_the_voxels_are_the_other_scans() -> None:
    scan, other = noisy(CT, 40, 0), noisy(CT, 300, 1)
    woven = fuse(scan, [lent(Other(other, box()), scan, SHARP)], SHARP)
    assert np.array_equal(woven.image.voxels, np.where(box(), other.voxels, scan.voxels))
    assert np.array_equal(woven.changed, box())
    assert woven.image.voxels.dtype == np.int16


def test_a_region_keeps_its_place_in_the_world() -> None:
    """The other grid starts 6 mm to the left and looks the other way along its second axis."""
    affine = np.array([[2.0, 0, 0, -6], [0, -2, 0, 42], [0, 0, 2, 0], [0, 0, 0, 1]])
    scan, other = noisy(CT, 40, 0), noisy(CT, 300, 1, affine)
    woven = fuse(scan, [lent(Other(other, box()), scan, SHARP)], SHARP)
    expected = scan.voxels.copy()
    expected[6:11, 9:14, 7:12] = other.voxels[9:14, 8:13, 7:12][:, ::-1]
    assert np.array_equal(woven.image.voxels, expected)


def test_the_edge_fades_and_ends() -> None:
    """Half a cosine over 4 mm: half of the change 2 mm away, nothing from 4 mm on."""
    scan, other = noisy(CT, 0, 0), noisy(CT, 0, 0)
    other = replace(other, voxels=(other.voxels + 400).astype(np.int16))
    config = replace(SHARP, feather=4.0)
    woven = fuse(scan, [lent(Other(other, box()), scan, config)], config)
    change = woven.image.voxels.astype(int) - scan.voxels
    assert (change[BOX] == 400).all()
    assert (change[14, 8:13, 7:12] == 200).all()
    assert not change[15:].any()
    assert not woven.changed[15:].any()


def test_an_mri_comes_in_the_brightness_of_the_scan() -> None:
    scan = noisy(T1, 200, 0)
    other = replace(scan, voxels=3 * scan.voxels)
    woven = fuse(scan, [lent(Other(other, box()), scan, SHARP)], SHARP)
    assert np.abs(woven.image.voxels.astype(int) - scan.voxels).max() <= 1


def test_surroundings_say_how_bright_it_is_where_windows_do_not() -> None:
    """A bright half of the other MRI doubles its window, and changes nothing far from it."""
    scan = noisy(T1, 200, 0)
    voxels = scan.voxels.copy()
    voxels[:, :, 17:] *= 2
    other = replace(scan, voxels=voxels)
    region = box()
    region[:, :, 9:] = False
    woven = fuse(scan, [lent(Other(other, region), scan, SHARP)], SHARP)
    assert woven.image.voxels[region].mean() == pytest.approx(scan.voxels[region].mean(), rel=0.02)


@pytest.fixture
def smooth(monkeypatch: pytest.MonkeyPatch) -> list[TranslateConfig]:
    """A translator that answers with one level beside air; keeps what it was asked."""
    asked = []

    def translated(sources: list[MedicalImage], config: TranslateConfig) -> Translation:
        asked.append(config)
        level = np.full(SHAPE, 1000, np.float32)
        level[:2] = 0
        made = replace(sources[0], voxels=level, kind=config.target)
        return Translation(made, None, tuple(sources), Maker("toy", "abc"), ())

    monkeypatch.setattr("medgen.tasks.weaving.from_scans.translate", translated)
    return asked


def test_what_is_translated_gets_the_grain_of_the_scan(smooth: list[TranslateConfig]) -> None:
    scan, other = noisy(T2, 200, 0), noisy(CT, 40, 1)
    region = np.zeros(SHAPE, bool)
    region[5:19, 4:18, 4:16] = True
    woven = fuse(scan, [lent(Other(other, region), scan, SHARP)], SHARP)
    assert noise_ratio(woven.image.voxels, region) == pytest.approx(1, abs=0.2)
    assert [(one.to, one.source, one.model) for one in smooth] == [("mri:t2", "ct", "base")]


def test_an_mri_without_a_contrast_is_taken_for_t1(
    smooth: list[TranslateConfig], caplog: pytest.LogCaptureFixture
) -> None:
    scan = replace(noisy(T1, 200, 0), kind=Kind.parse("mri"))
    lent(Other(noisy(CT, 40, 1), box()), scan, SHARP)
    assert smooth[0].to == "mri:t1"
    assert "is taken for mri:t1; write mri:t2=" in caplog.text


def test_regions_that_overlap_have_one_owner_each() -> None:
    scan, one, other = noisy(CT, 40, 0), noisy(CT, 300, 1), noisy(CT, 600, 2)
    second = np.zeros(SHAPE, bool)
    second[12:18, 8:13, 7:12] = True
    lents = [lent(Other(*each), scan, SHARP) for each in ((one, box()), (other, second))]
    woven = fuse(scan, lents, SHARP)
    owners = [np.where(woven.labels == at, each.voxels, 0) for at, each in ((1, one), (2, other))]
    expected = np.where(woven.labels == 0, scan.voxels, sum(owners))
    assert np.array_equal(woven.image.voxels, expected)
    assert np.array_equal(woven.labels > 0, box() | second)
    assert [found.name for found in woven.findings] == ["from ct", "from ct"]


@pytest.mark.parametrize("more", [{"feather": 4.0}, {"dilate": 3.0, "feather": 0.0}], ids=str)
def test_what_fades_or_grows_leaves_the_voxels_of_another_region(more: dict[str, float]) -> None:
    scan, one, other = noisy(CT, 40, 0), noisy(CT, 300, 1), noisy(CT, 600, 2)
    second = np.zeros(SHAPE, bool)
    second[14:18, 8:13, 7:12] = True  # touches the first
    config = replace(SHARP, **more)
    lents = [lent(Other(*each), scan, config) for each in ((one, box()), (other, second))]
    woven = fuse(scan, lents, config)
    for at, part in enumerate(lents, start=1):
        own = woven.labels == at
        alone = fuse(scan, [part], config).image.voxels
        assert own.any()
        assert np.array_equal(woven.image.voxels[own], alone[own])


def test_a_region_beyond_the_scan_or_too_small_is_refused() -> None:
    scan = noisy(CT, 40, 0)
    far = noisy(CT, 300, 1, AFFINE + np.array([[0, 0, 0, 500.0]] + 3 * [[0] * 4]))
    with pytest.raises(InputError, match="lies beyond the scan's field of view"):
        lent(Other(far, box()), scan, SHARP)
    fine = noisy(CT, 300, 1, np.diag([0.5, 0.5, 0.5, 1]))
    dot = np.zeros(SHAPE, bool)
    dot[9, 9, 9] = True
    with pytest.raises(InputError, match="smaller than a voxel of the scan"):
        lent(Other(fine, dot), scan, SHARP)


def test_two_mris_say_their_contrasts() -> None:
    plain = replace(noisy(T1, 200, 0), kind=Kind.parse("mri"))
    with pytest.raises(UsageError, match="does not say its contrast; write mri:t1="):
        lent(Other(plain, box()), noisy(T1, 200, 1), SHARP)


@pytest.fixture
def here(volumes: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """Two CTs of one world, and a mask on the second."""
    affine = np.diag([-4.0, 4, 4, 1])
    scan = volumes.save(volumes.head("ct"), tmp_path / "scan.nii.gz", affine)
    voxels = volumes.head("ct")
    region = np.zeros(voxels.shape, bool)
    region[12:17, 10:15, 12:17] = True
    voxels[region] = 700
    other = volumes.save(voxels, tmp_path / "ct.nii.gz", affine)
    mask = save_mask(region, tmp_path / "mask.nii.gz", other)
    return SimpleNamespace(folder=tmp_path, scan=scan, other=other, mask=mask, region=region)


def run(here: SimpleNamespace, mask: Path, *, scan: str = "", **more: Path) -> Written:
    lender = Lender(Given(here.other, CT), mask)
    return write_woven_with(
        scan or f"ct={here.scan}", [lender], SHARP, here.folder / "o.nii.gz", **more
    )


def voxels_of(path: Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def test_the_files_are_a_pair_and_a_sidecar_that_names_no_file(here: SimpleNamespace) -> None:
    written = run(here, here.mask, preview=here.folder / "o.png")
    before, after = voxels_of(here.scan), voxels_of(written.output)
    assert np.array_equal(after, np.where(here.region, 700, before))
    assert np.array_equal(voxels_of(written.mask), here.region)
    text = (here.folder / "o.json").read_text()
    said = json.loads(text)
    assert said["Synthetic"] is True
    assert said["Labels"] == {"1": "from ct"}
    assert said["With"][0]["Look"]["mean"] == 700
    assert said["With"][0]["TranslatedBy"] is None
    assert said["Regions"][0]["after"]["mean"] == 700
    assert said["ChangedVoxels"] == here.region.sum()
    assert "ct.nii.gz" not in text
    assert {path.name for path in written.files} == {"o.nii.gz", "o_mask.nii.gz", "o.json", "o.png"}


@pytest.mark.parametrize("slope", ["1", "0.37"])
def test_a_dicom_scan_woven_into_nifti_keeps_fractions_of_a_unit(
    here: SimpleNamespace, plain_dicom: SimpleNamespace, slope: str
) -> None:
    slices = plain_dicom.slices(voxels_of(here.scan), nib.load(here.scan).affine)
    for one in slices:
        one.RescaleSlope = slope
    scan = plain_dicom.save(slices, here.folder / "series")
    written = run(here, here.mask, scan=str(scan))
    before, after, mask = (files.read(path) for path in (scan, written.output, written.mask))
    assert after.voxels.dtype == before.voxels.dtype
    assert np.array_equal(after.voxels, np.where(mask.voxels == 1, 700, before.voxels))


def test_an_empty_mask_gives_back_the_files_own_bytes(here: SimpleNamespace) -> None:
    empty = save_mask(here.region & ~here.region, here.folder / "empty.nii.gz", here.other)
    written = run(here, empty)
    assert written.output.read_bytes() == here.scan.read_bytes()
    assert written.files == [written.output]


def test_what_cannot_be_woven_leaves_nothing(here: SimpleNamespace) -> None:
    far = nib.load(here.mask).affine + np.array([[0, 0, 0, 900.0]] + 3 * [[0] * 4])
    elsewhere = here.folder / "far.nii.gz"
    nib.save(nib.Nifti1Image(here.region.astype(np.uint8), far), elsewhere)
    picture = dim_radiograph(here.folder / "chest.png")
    before = set(here.folder.iterdir())
    with pytest.raises(InputError, match=r"far\.nii\.gz: 0% of it is in the scan's field"):
        run(here, elsewhere)
    with pytest.raises(UsageError, match=r"chest\.png: is a radiograph; --with weaves volumes"):
        run(here, here.mask, scan=str(picture))
    with pytest.raises(InputError, match=r"nowhere\.nii\.gz"):
        run(here, here.folder / "nowhere.nii.gz")
    assert set(here.folder.iterdir()) == before
    run(here, here.mask)
    with pytest.raises(OutputError, match="already exists"):
        run(here, here.mask)


@pytest.mark.parametrize("word", ["ct.nii.gz", "ct=scan.nii.gz", "mri:t1=a.nii.gz", "a.nii.gz="])
def test_a_word_without_a_mask_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match=f"--with {word}: says no mask"):
        Lender.parse(word)


def test_a_word_is_a_scan_and_its_mask() -> None:
    assert Lender.parse("ct=a.nii=m.nii") == Lender(Given(Path("a.nii"), CT), Path("m.nii"))
    assert Lender.parse("a.nii=m.nii") == Lender(Given(Path("a.nii")), Path("m.nii"))


def test_a_real_translator_makes_the_region_and_nothing_else(
    volumes: SimpleNamespace, tiny_model: Path, tmp_path: Path
) -> None:
    affine = np.diag([4.0, 4, 4, 1])
    scan = volumes.save(volumes.head("mri"), tmp_path / "t1.nii.gz", affine)
    other = volumes.save(volumes.head("ct"), tmp_path / "ct.nii.gz", affine)
    region = np.zeros(voxels_of(scan).shape, bool)
    region[12:17, 10:15, 12:17] = True
    mask = save_mask(region, tmp_path / "mask.nii.gz", other)
    config = replace(SHARP, model=str(tiny_model))
    lender = Lender(Given(other), mask)
    written = write_woven_with(f"mri:t1={scan}", [lender], config, tmp_path / "o.nii.gz")
    before, after = voxels_of(scan), voxels_of(written.output)
    assert np.array_equal(after[~region], before[~region])
    assert (after[region] != before[region]).mean() > 0.5
    assert (written.model, after.dtype) == ("tiny", before.dtype)
    assert json.loads((tmp_path / "o.json").read_text())["With"][0]["TranslatedBy"] == "tiny"

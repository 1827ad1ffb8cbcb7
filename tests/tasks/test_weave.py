"""Weaving changes the regions it was asked to, and not one bit beside them."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ComputedRadiographyImageStorage as CRStorage

from medgen.errors import InputError, ModelError, OutputError, UsageError
from medgen.io.geometry import Geometry
from medgen.modality import Kind, Modality
from medgen.tasks.given import Given
from medgen.tasks.weave import Part, WeaveConfig, weave
from medgen.tasks.weaving.bank import Bank, Look, look_of
from medgen.tasks.weaving.concept_file import load_concept
from medgen.tasks.weaving.files import Placed, read_scan, write_woven
from medgen.tasks.weaving.frame import frame_of
from medgen.tasks.weaving.loom import workshop
from medgen.tasks.weaving.output import Written
from medgen.tasks.weaving.regions import Place
from medgen.tasks.weaving.woven import Woven
from tests.tasks.weave_toy import (
    corner_examples,
    ct,
    ct_examples,
    dim_radiograph,
    learned,
    save_mask,
    saved,
    shaken,
)

LENT = {"features": 1.0, "attention": 1.0, "inside": 1.0, "whole": True}
TOLERANCE = 0.02  # of the window of a scan


@pytest.fixture(scope="module")
def flat(
    corner_flows: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """A radiograph, a concept, a mask, and how to weave them."""
    folder = tmp_path_factory.mktemp("flat")
    made = shaken(learned(corner_examples(corner_flows.manifest.parent), corner_flows.model))
    region = np.zeros((64, 64), bool)
    region[40:56, 8:24] = True
    return SimpleNamespace(
        scan=dim_radiograph(folder / "scan.png"),
        concept=saved(made, folder / "mass.concept"),
        region=region,
        mask=save_mask(region, folder / "mask.png"),
        config=WeaveConfig(
            model=str(corner_flows.model), device="cpu", steps=6, feather=3.0, guidance=30.0
        ),
        ending=".png",
        read=lambda path: np.asarray(Image.open(path)),
        model=corner_flows.model,
    )


@pytest.fixture(scope="module")
def deep(
    world: SimpleNamespace, volumes: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """The same of a CT."""
    folder = tmp_path_factory.mktemp("deep")
    scan = ct(folder / "scan.nii.gz", volumes.head)
    region = np.zeros((30, 28, 26), bool)
    region[12:20, 10:18, 9:15] = True
    made = shaken(learned(ct_examples(scan), world.flows))
    return SimpleNamespace(
        scan=scan,
        concept=saved(made, folder / "mass.concept"),
        region=region,
        mask=save_mask(region, folder / "mask.nii.gz", scan),
        config=WeaveConfig(
            model=str(world.flows), device="cpu", steps=4, feather=6.0, guidance=1e4
        ),
        ending=".nii.gz",
        read=lambda path: np.asanyarray(nib.load(path).dataobj),
        model=world.flows,
    )


CASES = ["flat", pytest.param("deep", marks=pytest.mark.slow)]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> SimpleNamespace:
    return request.getfixturevalue(request.param)


def run(case: SimpleNamespace, out: Path, *places: Place, **changes: object) -> Written:
    placed = [Placed(case.concept, place) for place in places or (Place(mask=case.mask),)]
    return write_woven(str(case.scan), placed, replace(case.config, **changes), out)


@pytest.mark.parametrize("fusion", ["attention", "estimate"])
def test_outside_of_the_region_nothing_changes(
    case: SimpleNamespace, fusion: str, tmp_path: Path
) -> None:
    written = run(case, tmp_path / f"o{case.ending}", fusion=fusion)
    before, after = case.read(case.scan), case.read(written.output)
    assert before.dtype == after.dtype
    changed = before != after
    assert changed[case.region].mean() > 0.5
    grown = np.zeros_like(case.region)
    edges = np.argwhere(case.region)
    reach = 3 if case.region.ndim == 2 else 2
    grown[
        tuple(
            slice(low - reach, high + reach + 1)
            for low, high in zip(edges.min(0), edges.max(0), strict=True)
        )
    ] = True
    assert not changed[~grown].any()
    mask = case.read(written.mask)
    assert np.array_equal(mask, case.region.astype(np.uint8))


def test_what_is_told_of_a_region_is_what_is_in_the_file(
    flat: SimpleNamespace, tmp_path: Path
) -> None:
    written = run(flat, tmp_path / "o.png")
    (found,) = written.findings
    assert found.after == look_of(flat.read(written.output), flat.region)
    assert found.before == look_of(flat.read(flat.scan), flat.region)
    assert found.voxels == flat.region.sum()
    bank = load_concept(flat.concept).card.bank
    span = np.subtract(*np.percentile(flat.read(flat.scan), [99, 1]))
    contrast = 2 * found.after.contrast / span
    wanted = (contrast - bank.mean.contrast) / bank.spread.contrast
    assert found.distance["contrast"] == pytest.approx(wanted, rel=0.05)


def test_a_change_is_as_strong_as_its_examples_are(flat: SimpleNamespace) -> None:
    """Of examples that look as twice the change would; the region may get darker or brighter."""
    image, loaded = read_scan(Given(flat.scan)), load_concept(flat.concept)
    voxels = image.voxels.copy()
    voxels[-10:, -10:] = 0  # more than the percentiles leave out
    image = replace(image, voxels=voxels)
    shop = workshop(flat.config.model, Kind.parse("xray"), "cpu")
    normalise = frame_of(image, Modality.XRAY, shop.loaded).window.normalise

    def woven(bank: Bank, match: float, guidance: float) -> Woven:
        part = Part(replace(loaded, card=replace(loaded.card, bank=bank)), flat.region)
        return weave(image, [part], replace(flat.config, match=match, guidance=guidance), shop)

    was = look_of(normalise(image.voxels), flat.region)
    for guidance in np.geomspace(10, 1000, 15).tolist():  # until the change shows
        once = woven(loaded.card.bank, 1.0, guidance)
        made = look_of(normalise(once.image.voxels), flat.region)
        if abs(made.contrast - was.contrast) > 0.02:
            break
    twice = Look(2 * made.mean - was.mean, 0.0, 2 * made.contrast - was.contrast)
    bank = Bank(twice, Look(0.1, 0.1, 0.1), 3)
    (found,) = woven(bank, 3.0, guidance).findings
    assert once.findings[0].strength == 1.0
    assert found.strength == pytest.approx(2.0, abs=0.02)
    assert abs(found.distance["contrast"]) < 0.05
    assert woven(bank, 1.5, guidance).findings[0].strength == 1.5


def test_dicom_keeps_what_it_stores_however_it_is_shown_and_called(
    flat: SimpleNamespace, plain_dicom: SimpleNamespace, tmp_path: Path
) -> None:
    shown = {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": 2500, "WindowWidth": 3500}
    grey = (4095 - flat.read(flat.scan)).astype(np.uint16)
    source = plain_dicom.object(grey, CRStorage, "CR", BitsStored=12, HighBit=11, **shown)
    scan = plain_dicom.save(source, tmp_path / "IM0001")
    written = run(SimpleNamespace(**{**vars(flat), "scan": scan}), tmp_path)
    assert written.output == tmp_path / "IM0001_woven"
    after = pydicom.dcmread(written.output / "0001.dcm").pixel_array
    changed = json.loads(written.sidecar.read_text())["ChangedVoxels"]
    assert 0 < np.count_nonzero(after != grey) <= changed
    assert (after != grey)[flat.region].mean() > 0.5


@pytest.mark.slow
def test_a_nifti_file_keeps_its_header_but_for_free_text(
    deep: SimpleNamespace, tmp_path: Path
) -> None:
    written = run(deep, tmp_path / "o.nii.gz")
    before, after = (nib.load(path).header for path in (deep.scan, written.output))
    differing = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    assert differing == {"descrip", "intent_name", "aux_file"}
    assert not after["aux_file"].item()
    assert after["descrip"].item().startswith(b"SYNTHETIC")
    volume = deep.region.sum() * 0.064
    assert written.findings[0].volume_ml == pytest.approx(volume)


def test_with_all_features_lent_the_scan_is_woven_again(
    case: SimpleNamespace, tmp_path: Path
) -> None:
    written = run(case, tmp_path / f"o{case.ending}", **LENT, suppression=0.0, refinements=25)
    before, after = case.read(case.scan), case.read(written.output)
    assert np.abs(after.astype(float) - before).max() <= TOLERANCE * 4095


def test_an_empty_mask_gives_back_the_files_own_bytes(
    case: SimpleNamespace, tmp_path: Path
) -> None:
    like = case.scan if case.ending != ".png" else None
    empty = save_mask(np.zeros_like(case.region), tmp_path / f"empty{case.ending}", like)
    written = run(case, tmp_path / f"o{case.ending}", Place(mask=empty))
    assert written.output.read_bytes() == case.scan.read_bytes()
    assert written.mask is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"empty{case.ending}",
        f"o{case.ending}",
    ]


def test_the_sidecar_says_what_was_woven_and_names_no_file(
    flat: SimpleNamespace, tmp_path: Path
) -> None:
    written = run(flat, tmp_path / "o.png", Place(mask=flat.mask), Place(box="4,12,10,20"))
    text = (tmp_path / "o.json").read_text()
    said = json.loads(text)
    assert said["Synthetic"] is True
    assert said["Labels"] == {"1": "mass", "2": "mass"}
    assert len(said["Regions"]) == len(written.findings) == 2
    assert said["Regions"][0]["distance"].keys() == {"mean", "deviation", "contrast"}
    assert flat.scan.name not in text
    labels = flat.read(written.mask)
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (labels[4:13, 10:21] == 2).all()


@pytest.mark.parametrize(("learned_mm", "is_told"), [(1.0, False), (1.2, False), (0.5, True)])
def test_a_concept_of_another_scale_is_told(
    flat: SimpleNamespace,
    learned_mm: float,
    is_told: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Pixels of 0.5 mm, of which the flow sees every other one."""
    image = replace(
        read_scan(Given(flat.scan)),
        geometry=Geometry(np.diag([0.5, 0.5, 1, 1])),
        spacing_is_known=True,
    )
    loaded = load_concept(flat.concept)
    loaded = replace(loaded, card=replace(loaded.card, spacing=learned_mm))
    shop = workshop(flat.config.model, Kind.parse("xray"), "cpu")
    weave(image, [Part(loaded, flat.region)], replace(flat.config, steps=2), shop)
    told = "was learned at 0.5 mm and the flow sees this scan at 1 mm" in caplog.text
    assert told is is_told


def test_the_same_weave_gives_the_same_bytes(flat: SimpleNamespace, tmp_path: Path) -> None:
    one, other = (run(flat, tmp_path / name).output for name in ("a.png", "b.png"))
    assert one.read_bytes() == other.read_bytes()


def test_a_mask_of_other_pixels_is_resampled(
    flat: SimpleNamespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    double = flat.region.repeat(2, 0).repeat(2, 1)
    mask = save_mask(double, tmp_path / "double.png")
    written = run(flat, tmp_path / "o.png", Place(mask=mask))
    assert "has other pixels than the radiograph; resampled" in caplog.text
    assert np.array_equal(flat.read(written.mask) > 0, flat.region)


def test_regions_that_overlap_are_told(
    flat: SimpleNamespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = Place(box="46,59,14,29")  # 10 of its rows and columns are the mask's
    written = run(flat, tmp_path / "o.png", Place(mask=flat.mask), box, steps=2)
    assert "regions overlap in 100 voxels" in caplog.text
    assert [one.voxels for one in written.findings] == [256, 14 * 16 - 100]
    same = run(flat, tmp_path / "p.png", *2 * [Place(mask=flat.mask)], steps=2)
    assert "mass: its region lies within another one and is left out" in caplog.text
    assert len(same.findings) == 1


def test_a_mask_of_many_numbers_is_told(
    flat: SimpleNamespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    grey = np.where(flat.region, np.arange(64, dtype=np.uint8) + 1, 0).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    written = run(flat, tmp_path / "o.png", Place(mask=tmp_path / "grey.png"), steps=2)
    assert "grey.png: has 17 different numbers; all but 0 are the region" in caplog.text
    assert np.array_equal(flat.read(written.mask) > 0, flat.region)


@pytest.mark.slow
def test_a_mask_on_another_grid_is_resampled_and_of_another_place_refused(
    deep: SimpleNamespace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fine = deep.region.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    affine = nib.load(deep.scan).affine @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = (nib.load(deep.scan).affine @ [-0.25, -0.25, -0.25, 1])[:3]
    nib.save(nib.Nifti1Image(fine.astype(np.uint8), affine), tmp_path / "fine.nii.gz")
    written = run(deep, tmp_path / "o.nii.gz", Place(mask=tmp_path / "fine.nii.gz"))
    assert "is on another grid than the scan; resampled" in caplog.text
    assert np.array_equal(deep.read(written.mask) > 0, deep.region)
    affine[:3, 3] += 500
    nib.save(nib.Nifti1Image(fine.astype(np.uint8), affine), tmp_path / "far.nii.gz")
    with pytest.raises(InputError, match="are they of one patient and frame"):
        run(deep, tmp_path / "p.nii.gz", Place(mask=tmp_path / "far.nii.gz"))


@pytest.mark.slow
def test_a_region_beside_the_body_is_refused(deep: SimpleNamespace, tmp_path: Path) -> None:
    corner = Place(box="0,2,0,2,0,2")
    with pytest.raises(InputError, match="0% of its region is inside of the body"):
        run(deep, tmp_path / "o.nii.gz", corner)
    assert run(deep, tmp_path / "o.nii.gz", corner, force=True).findings


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        (Place(box="1,2,3"), UsageError, "write first and last of each axis, 4 numbers"),
        (Place(box="1,2,3,99"), UsageError, "goes from 0 to 63"),
        (Place(region="left_lung"), UsageError, "name it with --labels"),
        (Place(mask=Path("nowhere.png")), InputError, "nowhere.png"),
    ],
)
def test_places_that_are_none(
    flat: SimpleNamespace, place: Place, error: type, message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        run(flat, tmp_path / "o.png", place)
    assert not list(tmp_path.iterdir())


def test_a_mask_of_another_shape_is_refused(flat: SimpleNamespace, tmp_path: Path) -> None:
    mask = save_mask(np.ones((64, 20), bool), tmp_path / "thin.png")
    with pytest.raises(InputError, match="64 x 20 pixels, the radiograph 64 x 64"):
        run(flat, tmp_path / "o.png", Place(mask=mask))


def test_results_are_not_replaced_unless_asked(flat: SimpleNamespace, tmp_path: Path) -> None:
    run(flat, tmp_path / "o.png")
    with pytest.raises(OutputError, match="already exists"):
        run(flat, tmp_path / "o.png")
    run(flat, tmp_path / "o.png", overwrite=True)
    with pytest.raises(UsageError, match="is the scan itself"):
        run(flat, flat.scan)


@pytest.mark.slow
def test_a_concept_of_other_scans_or_another_model_is_refused(
    flat: SimpleNamespace, deep: SimpleNamespace, tmp_path: Path
) -> None:
    placed = [Placed(flat.concept, Place(mask=deep.mask))]
    with pytest.raises(InputError, match="is a concept of xray, and the scan is ct"):
        write_woven(str(deep.scan), placed, deep.config, tmp_path / "o.nii.gz")
    placed = [Placed(flat.concept, Place(mask=flat.mask))]
    config = replace(flat.config, model=str(deep.model))
    with pytest.raises(ModelError, match="was learned on another model"):
        write_woven(str(flat.scan), placed, config, tmp_path / "o.png")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": 1.5}, "choose 0 to 1"),
        ({"feather": -1.0}, "choose 0 or more"),
        ({"guidance": -1.0}, "choose 0 or more"),
        ({"steps": 1}, "choose 2 or more"),
    ],
)
def test_numbers_that_make_no_sense(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        WeaveConfig(**changes)

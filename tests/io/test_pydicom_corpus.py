"""Every file that comes with pydicom is read as pydicom reads it, or refused as listed."""

import re
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_voi_lut

from medgen.errors import InputError, UsageError
from medgen.io import dicom

ROOT = Path(pydicom.__file__).parent / "data"
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc")
)
READ = {  # pattern: kind
    "charset_files/chr[AFGHIRX]*.dcm": "xray",
    "test_files/693_J2KI.dcm": "ct",
    "test_files/CT_small.dcm": "ct",
    "test_files/J2K_pixelrep_mismatch.dcm": "ct",
    "test_files/JPEGLSNearLossless_??.dcm": "xray",
    "test_files/MR_small*.dcm": "mri",
    "test_files/dicomdirtests/77654033/CR1/*": "xray:lateral",
    "test_files/dicomdirtests/77654033/CR[23]/*": "xray",
    "test_files/dicomdirtests/*/CT*": "ct",
    "test_files/dicomdirtests/*/MR*": "mri",
    "test_files/examples_overlay.dcm": "mri",
    "test_files/image_dfl.dcm": "xray",
}
REFUSED = {  # pattern: reason
    "charset_files/FileInfo.txt": "not DICOM",
    "charset_files/chr[JK]*.dcm": "no pixel data",
    "charset_files/chrSQEncoding*.dcm": "no image",
    "palettes/README.md": "not DICOM",
    "palettes/*.dcm": "Color Palette",
    "hashes.json": "not DICOM",
    "urls.json": "not DICOM",
    "test_files/README.txt": "not DICOM",
    "test_files/*.json": "not DICOM",
    "test_files/*.dump": "not DICOM",
    "test_files/*.icc": "not DICOM",
    "test_files/*.gz": "not DICOM",
    "test_files/*/README*": "not DICOM",
    "test_files/ExplVR_*NoMeta.dcm": "not DICOM",
    "test_files/no_meta.dcm": "not DICOM",
    "test_files/rtstruct.dcm": "not DICOM",
    "test_files/MR_truncated.dcm": "truncated",
    "test_files/ExplVR_BigEnd.dcm": "Ultrasound",
    "test_files/examples_jpeg2k.dcm": "Ultrasound",
    "test_files/examples_palette.dcm": "Ultrasound",
    "test_files/examples_*_color.dcm": "Ultrasound",
    "test_files/GDCMJ2K_TextGBR.dcm": "not greyscale",
    "test_files/SC_*.dcm": "not greyscale",
    "test_files/JPEG-lossy.dcm": "screenshot",
    "test_files/JPEG2000*.dcm": "screenshot",
    "test_files/JPGExtended.dcm": "screenshot",
    "test_files/UN_sequence.dcm": "no image",
    "test_files/priv_SQ.dcm": "no image",
    "test_files/dicomdirtests/TINY_ALPHA/PT*": "no image",
    "test_files/dicomdirtests/*DICOMDIR*": "only an index",
    "test_files/badVR.dcm": "RT Dose",
    "test_files/rtdose*.dcm": "RT Dose",
    "test_files/rtplan*.dcm": "RT Plan",
    "test_files/no_meta_group_length.dcm": "RT Image",
    "test_files/liver_*.dcm": "Segmentation",
    "test_files/reportsi*.dcm": "Basic Text SR",
    "test_files/test-SR.dcm": "Comprehensive SR",
    "test_files/waveform_ecg.dcm": "ECG",
    "test_files/meta_missing_tsyntax.dcm": "no transfer syntax",
    "test_files/empty_charset_LEI.dcm": "no class",
    "test_files/nested_priv_SQ.dcm": "no class",
}
FOLDERS = {  # folder: shape, or the reason it is refused
    "98892001/CT5N": (16, 16, 5),
    "98892003/MR1": "missing|uneven|duplicate|series|tilted|direction|line|volumes",
    "77654033/CT2": "missing|uneven|duplicate|series|tilted|direction|line|volumes",
    "98892003/MR700": "missing|uneven|duplicate|series|tilted|direction|line|volumes",
}


def matches(name: str, table: dict[str, str]) -> list[str]:
    return [value for pattern, value in table.items() if fnmatch(name, pattern)]


@pytest.mark.filterwarnings("ignore:The pixel data is 8320 bytes long")
@pytest.mark.parametrize("name", FILES)
def test_every_file_is_read_right_or_refused(name: str) -> None:
    kinds, reasons = matches(name, READ), matches(name, REFUSED)
    assert len(kinds) + len(reasons) == 1, "every file has one line in one of the tables"
    if kinds:
        check_read(ROOT / name, kinds[0])
        return
    with pytest.raises(InputError, match=reasons[0]) as caught:
        dicom.read(ROOT / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def check_read(path: Path, kind: str) -> None:
    """Compare with pydicom's own pixels, rescale, window and inversion."""
    image = dicom.read(path)
    source = pydicom.dcmread(path)
    slope, intercept = (
        float(source.get("RescaleSlope", 1)),
        float(source.get("RescaleIntercept", 0)),
    )
    expected = source.pixel_array.astype(np.float64) * slope + intercept
    top = 2**source.BitsStored - 1
    is_flat = kind.startswith("xray")
    if is_flat and "WindowCenter" in source:
        shown = apply_voi_lut(expected, source)  # between the ends of the measured range
        expected = (shown - intercept) / slope
    if source.PhotometricInterpretation == "MONOCHROME1":
        expected = top - expected
    found = image.voxels if is_flat else image.voxels[:, :, 0].T
    assert str(image.kind) == kind
    assert np.allclose(found, expected, atol=1e-3)
    if not is_flat:
        lps = np.diag([-1, -1, 1]) @ image.geometry.affine[:3, 3]
        assert np.allclose(lps, source.ImagePositionPatient)
        assert np.allclose(image.geometry.spacing[:2], source.PixelSpacing[::-1])


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_is_assembled_or_refused(folder: str) -> None:
    path, wanted = ROOT / "test_files" / "dicomdirtests" / folder, FOLDERS[folder]
    if isinstance(wanted, tuple):
        assert dicom.read(path).voxels.shape == wanted
        return
    with pytest.raises((InputError, UsageError)) as caught:
        dicom.read(path)
    assert re.search(wanted, str(caught.value))

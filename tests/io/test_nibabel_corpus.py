"""Every test file that nibabel installs is read as nibabel reads it, or refused in one line."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from medgen.errors import MedgenError, UsageError
from medgen.io import files

ROOT = Path(nibabel.__file__).parent
FOLDERS = {
    "tests": ROOT / "tests" / "data",
    "nicom": ROOT / "nicom" / "tests" / "data",
    "gifti": ROOT / "gifti" / "tests" / "data",
    "externals": ROOT / "externals" / "tests" / "data",
}
NO_DATA = (".py", ".m", ".rst", ".gitignore")
INSTALLED = sorted(
    f"{folder}/{path.name}"
    for folder, where in FOLDERS.items()
    for path in where.glob("*")
    if path.is_file() and not path.name.endswith(NO_DATA)
)
NIFTI = {  # and the last frame of those that have several
    "tests/anatomical.nii": None,
    "tests/example4d.nii.gz": 1,
    "tests/example_nifti2.nii.gz": 1,
    "tests/functional.nii": 19,
    "tests/reoriented_anat_moved.nii": None,
    "tests/standard.nii.gz": None,
}
DICOM = ["tests/0.dcm", "tests/1.dcm", "nicom/0.dcm", "nicom/1.dcm"]
REFUSED = {
    "is not NIfTI, DICOM, PNG or JPEG": """
        tests/ADC_Map.PAR tests/ASL_3D_Multiecho.PAR tests/DTI.PAR tests/DTIv40.PAR tests/NA.PAR
        tests/Phantom_EPI_3mm_cor_20APtrans_15RLrot_SENSE_15_1.PAR
        tests/Phantom_EPI_3mm_cor_SENSE_8_1.PAR tests/Phantom_EPI_3mm_sag_15AP_SENSE_13_1.PAR
        tests/Phantom_EPI_3mm_sag_15FH_SENSE_12_1.PAR tests/Phantom_EPI_3mm_sag_15RL_SENSE_11_1.PAR
        tests/Phantom_EPI_3mm_sag_SENSE_7_1.PAR
        tests/Phantom_EPI_3mm_tra_-30AP_10RL_20FH_SENSE_14_1.PAR
        tests/Phantom_EPI_3mm_tra_15FH_SENSE_9_1.PAR tests/Phantom_EPI_3mm_tra_15RL_SENSE_10_1.PAR
        tests/Phantom_EPI_3mm_tra_SENSE_6_1.PAR tests/R11_T2W_TSE.PAR tests/T1.PAR
        tests/T1_3echo_mag_real_imag_phase.PAR tests/T1_dual_echo.PAR tests/T2-interleaved.PAR
        tests/T2.PAR tests/T2_-interleaved.PAR tests/T2_.PAR tests/bad_attribute+orig.HEAD
        tests/bad_datatype+orig.HEAD tests/complex.trk tests/complex_big_endian.trk tests/empty.tck
        tests/empty.trk tests/example4d+orig.HEAD tests/fieldmap.PAR tests/matlab_nan.tck
        tests/minc1-no-att.mnc tests/minc1_1_scale.mnc tests/minc1_4d.mnc tests/minc2-4d-d.mnc
        tests/minc2-no-att.mnc tests/minc2_1_scale.mnc tests/minc2_4d.mnc tests/minc2_baddim.mnc
        tests/multiline_header_field.tck tests/no_header_end.tck tests/no_header_end_eof.tck
        tests/no_magic_number.tck tests/phantom_EPI_asc_CLEAR_2_1.PAR
        tests/phantom_EPI_asc_CLEAR_2_1.REC tests/phantom_fake_dualTR.PAR tests/phantom_fake_v4.PAR
        tests/phantom_fake_v4_1.PAR tests/phantom_truncated.PAR tests/phantom_truncated.REC
        tests/phantom_varscale.PAR tests/phantom_varscale.REC tests/scaled+tlrc.BRIK
        tests/scaled+tlrc.HEAD tests/simple.tck tests/simple.trk tests/simple_big_endian.tck
        tests/small.mnc tests/standard.LPS.trk tests/standard.tck tests/standard.trk tests/tiny.mnc
        tests/tinypet.v tests/umass_anonymized.PAR tests/variant_v4_2_header.PAR
        nicom/ascconv_sample.txt nicom/csa2_b0.bin nicom/csa2_b1000.bin
        nicom/csa_str_1001n_items.bin nicom/csa_str_valid.bin
        gifti/ascii.gii gifti/ascii_flat_data.gii gifti/base64bin.gii gifti/external.dat
        gifti/external.gii gifti/external.gii.bz2 gifti/gzipbase64.gii gifti/label.gii
        gifti/rh.aparc.annot.gii gifti/rh.shape.curv.gii gifti/task.func.gii
        externals/example_1.nc
    """,
    "is an Analyze 7.5 file, which does not tell left from right": """
        tests/analyze.hdr
    """,
    "is gzip data but not NIfTI": """
        tests/example4d+orig.BRIK.gz tests/test.mgz
        nicom/csa2_zero_len.bin.gz nicom/philips_mprage.dcm.gz nicom/siemens_dwi_0.dcm.gz
        nicom/siemens_dwi_1000.dcm.gz
        gifti/external.gii.gz
    """,
    "its .img with the voxels is missing": """
        tests/nifti1.hdr tests/nifti2.hdr
    """,
    "has NaN or infinite voxels": """
        tests/resampled_anat_moved.nii
    """,
    "is 6-D": """
        tests/row_major.dconn.nii
    """,
    "has no pixel data": """
        nicom/csa_slice_norm.dcm
    """,
    "every voxel is -4096": """
        nicom/decimal_rescale.dcm
    """,
    "is one slice without a thickness": """
        nicom/slicethickness_empty_string.dcm
    """,
}
REASONS = {name: reason for reason, names in REFUSED.items() for name in names.split()}


def path_of(name: str) -> Path:
    folder, _, file = name.partition("/")
    return FOLDERS[folder] / file


def test_every_installed_file_is_in_one_of_the_tables() -> None:
    assert set(INSTALLED) == {*NIFTI, *DICOM, *REASONS}
    assert len(INSTALLED) == len(NIFTI) + len(DICOM) + len(REASONS)


@pytest.mark.parametrize(("name", "last"), NIFTI.items())
def test_nifti_is_read_as_nibabel_reads_it(name: str, last: int | None) -> None:
    theirs = nibabel.load(path_of(name))
    values = theirs.get_fdata()
    if last is not None:
        with pytest.raises(UsageError, match=f"--frame 0 to {last}"):
            files.read(path_of(name))
    for frame in {0, last} - {None} if last else [None]:
        ours = files.read(path_of(name), frame=frame)
        wanted = values if frame is None else values[..., frame]
        assert np.allclose(ours.voxels, wanted, rtol=1e-6)
        assert np.abs(ours.geometry.affine - theirs.affine).max() < 1e-6
        assert ours.kind is None


@pytest.mark.parametrize("name", DICOM)
def test_dicom_holds_the_numbers_that_pydicom_decodes(name: str) -> None:
    stored = pydicom.dcmread(path_of(name))
    values = stored.pixel_array * float(stored.get("RescaleSlope", 1))
    values += float(stored.get("RescaleIntercept", 0))
    assert np.array_equal(files.read(path_of(name)).voxels[..., 0], values.T)


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
def test_the_others_are_refused_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(MedgenError) as caught:
        files.read(path_of(name))
    message = str(caught.value)
    assert message.startswith(f"{path_of(name)}: {reason}; ")
    assert "\n" not in message
    assert caught.value.exit_code == 4

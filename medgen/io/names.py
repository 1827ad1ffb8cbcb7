"""What outputs are called: by their source, their kind, and what -o asks for."""

import re
from collections.abc import Iterable
from pathlib import Path

from medgen.errors import UsageError
from medgen.io.image import FileFormat
from medgen.modality import FACTS, Kind

_FILE_SUFFIXES: dict[str, FileFormat] = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".dcm": "dicom",
    ".png": "png",
}
_INPUT_SUFFIXES = (*_FILE_SUFFIXES, ".img.gz", ".hdr.gz", ".img", ".hdr", ".jpg", ".jpeg", ".ima")
_NOT_WRITTEN = (  # of files that somebody may expect, and that medgen does not write
    *(".jpg", ".jpeg", ".jp2", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".svg"),
    *(".hdr", ".img", ".mha", ".mhd", ".nrrd", ".nhdr", ".mgh", ".mgz", ".mnc", ".ima", ".raw"),
    *(".nifti", ".dicom", ".npy", ".npz", ".mat", ".h5", ".pt", ".gz", ".zip", ".tar"),
    *(".txt", ".json", ".jsonl", ".csv", ".pdf", ".doc", ".docx", ".rtf", ".html", ".md", ".xml"),
)
SLICES = "[0-9][0-9][0-9][0-9]*.dcm"  # names in a folder of DICOM that medgen has written
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # in file names of one system or another


def stem_of(path: Path) -> str:
    """The name without the suffix of an image format; other dots stay.

    Example:
        >>> [stem_of(Path(name)) for name in ("head.v2.nii.gz", "chest.PNG", "series.3")]
        ['head.v2', 'chest', 'series.3']
    """
    name = path.absolute().name
    suffix = next((s for s in _INPUT_SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] or name


def safe_name(word: str) -> str:
    """A word as a part of a file's name on any system.

    Example:
        >>> safe_name("case 3: left/right"), safe_name("../..")
        ('case 3_ left_right', '_')
    """
    return _FORBIDDEN.sub("_", word).strip(" .") or "_"


def is_file_name(path: Path) -> bool:
    """Whether a path ends as files do, of a format that medgen writes or not, and is no folder.

    Example:
        >>> [is_file_name(Path(name)) for name in ("ct.nii.gz", "ct.mha", "out.v2", "series.3")]
        [True, True, False, False]
    """
    return not path.is_dir() and path.name.lower().endswith((*_FILE_SUFFIXES, *_NOT_WRITTEN))


def format_of(path: Path) -> FileFormat:
    """The file kind that an output path asks for; no known suffix is a folder of DICOM.

    Raises:
        UsageError: If the suffix is of a format that medgen does not write.

    Example:
        >>> format_of(Path("ct.v2.nii.gz")), format_of(Path("series.3"))
        ('nifti', 'dicom')
    """
    name = path.name.lower()
    for suffix, file_format in _FILE_SUFFIXES.items():
        if name.endswith(suffix):
            return file_format
    if name.endswith(_NOT_WRITTEN):
        raise UsageError(f"{path}: medgen writes .nii.gz, .nii, .dcm, .png, or a folder of DICOM")
    return "dicom"


def output_path(
    source: Path,
    kind: Kind,
    *,
    out: Path | None = None,
    file_format: FileFormat = "nifti",
    suffix: str = "",
) -> Path:
    """Name a result made from `source`.

    Args:
        source: The input file or folder.
        kind: What the result is.
        out: What -o says. A name that ends in .nii, .nii.gz, .dcm or .png is the result itself;
            everything else, and every existing folder, is the folder for it. None: beside the
            source.
        file_format: The source's format. NIfTI holds no radiographs and PNG no volumes: these
            become PNG and NIfTI.
        suffix: What follows the kind, such as `_sigma`; also put into a file named by `out`.

    Returns:
        `<stem>_<kind><suffix>` with the ending of the format; a DICOM result is a folder.

    Raises:
        UsageError: If that is the source itself, or a format that medgen does not write.

    Example:
        >>> str(output_path(Path("in/t1.nii.gz"), Kind.parse("ct"), out=Path("res")))
        'res/t1_ct.nii.gz'
    """
    folder = source.absolute().parent if out is None else out
    if out is None and not source.is_absolute():
        folder = source.parent
    if out is not None and is_file_name(out):
        format_of(out)  # refuses what is not written
        path = _with_suffix(out, suffix)
    else:
        stem = _FORBIDDEN.sub("_", f"{stem_of(source)}_{kind.slug}{suffix}")
        path = folder / f"{stem}{_ending(kind, file_format)}"
    if path.absolute() == source.absolute() or (
        path.exists() and source.exists() and path.samefile(source)
    ):
        raise UsageError(f"{path}: is the input itself; choose another name with -o")
    return path


def check_axes(path: Path, axes: int) -> None:
    """Make sure that a name is that of an image with so many axes.

    Raises:
        UsageError: If it is that of a picture for a volume, or the reverse.
    """
    name = path.name.lower()
    if axes == 3 and name.endswith((".png", ".dcm")):
        raise UsageError(f"{path}: a volume is a .nii.gz, or a folder of DICOM slices")
    if axes == 2 and name.endswith((".nii", ".nii.gz")):
        raise UsageError(
            f"{path}: NIfTI holds volumes; a radiograph is a .png, a .dcm, or a folder for one"
        )


def check_apart(results: Iterable[Path | None], inputs: Iterable[Path]) -> None:
    """Make sure that results are files of their own, whatever may be overwritten.

    Args:
        results: All that will be written; None for what will not.
        inputs: All that is read; of a folder, all files that are in it.

    Raises:
        UsageError: If a result is an input, or another result, under any name.
    """
    given, taken = {path.resolve() for path in inputs}, set()
    folders = {path for path in given if path.is_dir()}
    for path in filter(None, results):
        where = path.resolve()
        if where in given or (where.is_file() and folders.intersection(where.parents)):
            raise UsageError(f"{path}: is one of the inputs; choose another name for the result")
        if where in taken:
            raise UsageError(f"{path}: is another result as well; choose another name")
        taken.add(where)


def _with_suffix(path: Path, suffix: str) -> Path:
    stem = stem_of(path)
    return path.with_name(f"{stem}{suffix}{path.name[len(stem) :]}")


def _ending(kind: Kind, file_format: FileFormat) -> str:
    if file_format == "dicom":
        return ""
    return ".png" if FACTS[kind.modality].axes == 2 else ".nii.gz"

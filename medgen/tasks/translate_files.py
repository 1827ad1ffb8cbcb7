"""Translate files: one input read, translated, and written with its sidecar, or nothing at all."""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from medgen.data.study import Study
from medgen.errors import MedgenError, UsageError
from medgen.io import files
from medgen.io.atomic import all_or_nothing, check_writable
from medgen.io.image import FileFormat, MedicalImage
from medgen.io.names import SLICES, check_apart, check_axes, format_of, output_path
from medgen.io.preview import write_preview
from medgen.io.sidecar import sidecar_path, was_made_by, write_sidecar
from medgen.modality import FACTS, Kind, Modality
from medgen.tasks.batch import Item
from medgen.tasks.radiograph import XRAY
from medgen.tasks.translate import TranslateConfig, Translation, provenance_of, translate
from medgen.tasks.translator.translator import CT, TARGETS


@dataclass(frozen=True)
class Written:
    """What one translation left on disk.

    Attributes:
        output: The translated image.
        sigma: Its uncertainty, one standard deviation, same grid and unit; None without samples.
        sidecar: The JSON beside it.
        preview: The picture, if one was asked for.
        source_sha256: Hash of the first input.
        others_sha256: Hashes of the others.
        model: Name of the model; `projection` where none was needed.
        model_sha256: Hash of its card; empty without one.
        device: Where it ran.
        seconds: From reading to writing.
        warnings: What the user should know.
    """

    output: Path
    sigma: Path | None
    sidecar: Path
    preview: Path | None
    source_sha256: str
    model: str
    model_sha256: str
    device: str
    seconds: float
    warnings: tuple[str, ...] = ()
    others_sha256: tuple[str, ...] = ()


def translate_item(
    item: Item,
    config: TranslateConfig,
    *,
    out: Path | None = None,
    preview: Path | None = None,
    completes: bool = False,
) -> Written:
    """Translate one input and write the result, its sidecar and, if asked, a preview.

    The result itself is written last: where it is, everything else is.

    Args:
        item: A file or DICOM folder, or one study of a manifest.
        config: What to make.
        out: What `-o` says; see `io.names.output_path`.
        preview: PNG to draw.
        completes: Whether a translation that is there, but not with all that is asked for, is made
            again.

    Raises:
        MedgenError: In one line: what is wrong, with which file. Nothing is left behind.
    """
    started = time.perf_counter()
    output, sigma = results_of(item, config, out=out)
    if completes and output.exists() and was_made_by("translate", sidecar_path(output)):
        config = replace(config, overwrite=True)
    _check_free([output, sigma, preview], item, config)
    made = translate(_read(item, config), config)
    _write(made, config, output, sigma, preview)
    source, maker = made.sources[0].source, made.maker
    return Written(
        output=output,
        sigma=sigma,
        sidecar=sidecar_path(output),
        preview=preview,
        source_sha256=source.sha256 if source else "",
        model=maker.name,
        model_sha256=maker.sha256,
        device=maker.device,
        seconds=time.perf_counter() - started,
        warnings=made.warnings,
        others_sha256=tuple(one.source.sha256 for one in made.sources[1:] if one.source),
    )


def results_of(
    item: Item, config: TranslateConfig, *, out: Path | None = None
) -> tuple[Path, Path | None]:
    """The result of an item, and its sigma; None without samples."""
    output = output_of(item, config, out=out)
    several = config.samples > 1
    return output, output_of(item, config, out=out, suffix="_sigma") if several else None


def output_of(
    item: Item, config: TranslateConfig, *, out: Path | None = None, suffix: str = ""
) -> Path:
    """Where the result of an item goes, decided before anything is read."""
    source = item.path
    if item.study is not None:
        source = item.path.parent / f"{item.name}.nii.gz"
    elif "/" in item.name and out is not None:
        out = out / Path(item.name).parent
    file_format = _format(item, config)
    return output_path(source, config.target, out=out, file_format=file_format, suffix=suffix)


def _format(item: Item, config: TranslateConfig) -> FileFormat:
    """The format of a result: the first source's own; NIfTI for what cannot be read."""
    try:
        (_, first), *_ = _useful(item.study, config) if item.study else [(None, item.path)]
        return "dicom" if files.sniff(first) == "dicom" else "nifti"
    except MedgenError:
        return "nifti"


def _check_free(paths: list[Path | None], item: Item, config: TranslateConfig) -> None:
    """Find out before the computation whether everything can be written."""
    output, sigma, preview = paths
    sidecars = [sidecar_path(path) for path in (output, sigma) if path]
    check_apart([*paths, *sidecars], [*item.files, *map(Path, config.companions)])
    for path in (output, sigma):
        if path is None:
            continue
        check_axes(path, FACTS[config.target.modality].axes)
        if config.keep_patient and format_of(path) != "dicom":
            raise UsageError(f"{path}: holds no patient; leave --keep-patient out, or make DICOM")
        check_writable(path, overwrite=config.overwrite, replaces=SLICES)
        check_writable(sidecar_path(path), overwrite=config.overwrite)
    if preview is not None:
        if config.target == XRAY:
            raise UsageError("--preview: a radiograph is its own picture; leave it out")
        if preview.suffix.lower() != ".png":
            raise UsageError(f"--preview {preview}: is drawn as .png")
        check_writable(preview, overwrite=config.overwrite)


def _read(item: Item, config: TranslateConfig) -> list[MedicalImage]:
    """The images of an item, the one whose grid counts first."""
    if item.study is not None:
        found = _useful(item.study, config)
        return [replace(files.read(path), kind=kind) for kind, path in found]
    first = files.read(item.path, series=config.series, frame=config.frame)
    return [first, *(files.read(Path(path)) for path in config.companions)]


def _useful(study: Study, config: TranslateConfig) -> list[tuple[Kind, Path]]:
    """What a study has to translate from.

    Raises:
        UsageError: If it has nothing.
    """
    found = [
        (kind, path)
        for kind, path in study.images.items()
        if kind != config.target and kind in (*TARGETS, Kind(Modality.MRI))
    ]
    if config.target == XRAY:
        found = [one for one in found if one[0] == CT] or found
    if not found:
        raise UsageError(f"{study.id}: has nothing to make {config.to} from")
    return found


def _write(
    made: Translation,
    config: TranslateConfig,
    output: Path,
    sigma: Path | None,
    preview: Path | None,
) -> None:
    provenance = provenance_of(made, config)
    write = partial(
        files.write,
        provenance=provenance,
        overwrite=config.overwrite,
        keep_patient=config.keep_patient,
    )
    describe = partial(write_sidecar, overwrite=config.overwrite)
    details = _details(made, config)
    beside = (sidecar_path(output), sigma, sidecar_path(sigma) if sigma else None, preview)
    with all_or_nothing(*beside) as written:
        if preview is not None:
            first = made.sources[0]
            write_preview(
                first,
                made.image,
                preview,
                provenance=provenance,
                sigma=made.sigma,
                overwrite=config.overwrite,
            )
            written.append(preview)
        if sigma is not None and made.sigma is not None:
            quantity = {"Quantity": "one standard deviation of the result, in its unit"}
            spread = replace(provenance, is_sigma=True)
            written.append(describe(sigma, spread, details | quantity))
            written.append(write(made.sigma, sigma, provenance=spread))
        written.append(describe(output, provenance, details))
        write(made.image, output)


def _details(made: Translation, config: TranslateConfig) -> dict[str, object]:
    """What the sidecar says besides its marks; names no file."""
    return {
        "Kind": config.to,
        "Unit": FACTS[config.target.modality].unit,
        "Sources": [
            {"Kind": str(image.kind), "SHA256": image.source.sha256 if image.source else ""}
            for image in made.sources
        ],
        **_how(made, config),
        "Warnings": [line.partition(": ")[2] for line in made.warnings],
    }


def _how(made: Translation, config: TranslateConfig) -> dict[str, object]:
    """By a model, by projection, or by one after the other."""
    how: dict[str, object] = {}
    if made.maker.sha256:
        how |= {"Engine": config.engine, "Samples": config.samples}
    if config.refine:
        how |= {"RefineSteps": config.refine_steps}
    if made.unpaired:
        how |= {"UnpairedPath": list(made.unpaired)}
    if config.target == XRAY:
        how |= {"View": config.view or "pa"}
    return how

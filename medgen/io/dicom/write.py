"""DICOM out: a folder of slices or one radiograph, whole or not at all."""

from pathlib import Path

from medgen.errors import UsageError
from medgen.io.atomic import atomic_file, atomic_folder
from medgen.io.dicom.marking import save
from medgen.io.dicom.write_radiograph import radiograph_object
from medgen.io.dicom.write_volume import check_straight, volume_objects
from medgen.io.image import MedicalImage
from medgen.io.provenance import Provenance
from medgen.modality import Modality


def write(
    image: MedicalImage,
    target: Path,
    *,
    provenance: Provenance,
    overwrite: bool = False,
    keep_patient: bool = False,
    keep_steps: bool = False,
) -> Path:
    """Write an image as synthetic DICOM; the same image gives the same bytes every time.

    Args:
        image: CT in HU, MRI, or a radiograph. HU are rounded to whole numbers; the MRI's values
            survive to 1/65535 of their range.
        target: A folder for the slices of a volume; a name that ends in .dcm for a radiograph,
            or a folder for it.
        provenance: How the image was made.
        overwrite: Replace what is there.
        keep_patient: Keep the source's patient, study and frame of reference, and refer to its
            images. Otherwise nothing of the source's identity is written.
        keep_steps: Store a volume in the source's own steps, and a radiograph in what the source
            shows as its grey levels: voxels that did not change since it was read are stored as
            they were, the others take the nearest value.

    Returns:
        `target`.

    Raises:
        UsageError: If the kind of the image is unknown, or a volume shall become one file.
        GeometryError: If the volume's axes are sheared.
        OutputError: If it exists or cannot be written.
    """
    name = image.source.path if image.source else "image"
    if image.kind is None or image.kind.modality is Modality.TEXT:
        raise UsageError(f"{name}: is it CT, MRI or X-ray? DICOM must know; say so")
    is_file = target.suffix.lower() == ".dcm"
    if image.kind.modality is Modality.XRAY:
        made = radiograph_object(
            image,
            image.kind,
            provenance=provenance,
            keep_patient=keep_patient,
            keep_steps=keep_steps,
        )
        if is_file:
            with atomic_file(target, overwrite=overwrite) as path:
                save(made, path)
            return target
        objects = iter([made])
    else:
        if is_file:
            raise UsageError(f"{target}: a volume is a folder of slices; leave the .dcm out")
        check_straight(image)
        objects = volume_objects(
            image,
            image.kind,
            provenance=provenance,
            keep_patient=keep_patient,
            keep_steps=keep_steps,
        )
    with atomic_folder(target, overwrite=overwrite) as folder:
        for number, one in enumerate(objects, start=1):
            save(one, folder / f"{number:04d}.dcm")
    return target

"""The words in a NIfTI header that say: synthetic, made by medgen, and of this kind."""

from nibabel.nifti1 import Nifti1Extension, Nifti1Header

from medgen import __version__
from medgen.errors import UsageError
from medgen.io.provenance import Provenance
from medgen.modality import Kind

_SYNTHETIC = "SYNTHETIC medgen"  # how `descrip` begins; that field holds 79 bytes


def mark(header: Nifti1Header, kind: Kind | None, provenance: Provenance, *, clipped: int) -> None:
    """Write the mark into a header, in place.

    `intent_name` names the kind (NIfTI has no field for the modality), and a comment extension
    holds the provenance.

    Args:
        header: The header of the file to be written.
        kind: What the voxels are; None leaves it unsaid.
        provenance: How the image was made.
        clipped: How many voxels did not fit the stored type.
    """
    header["descrip"] = f"{_SYNTHETIC} {__version__}".encode()
    header.set_intent("none", name=str(kind) if kind else "")
    lost = f"; {clipped} voxels clipped to 16 bits" if clipped else ""
    comment = Nifti1Extension("comment", f"{provenance.sentence}{lost}".encode())
    header.extensions.append(comment)


def kind_of(header: Nifti1Header) -> Kind | None:
    """The kind that a file made by medgen says it is; None for every other file."""
    if not header["descrip"].item().startswith(_SYNTHETIC.encode()):
        return None
    try:
        return Kind.parse(header["intent_name"].item().decode("latin-1"))
    except UsageError:
        return None

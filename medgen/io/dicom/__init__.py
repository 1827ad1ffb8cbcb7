"""DICOM in and out; the only package that knows pydicom."""

from medgen.io.dicom.read import read
from medgen.io.dicom.write import write

__all__ = ["read", "write"]

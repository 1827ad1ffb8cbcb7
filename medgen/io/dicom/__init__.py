"""DICOM in and out; the only package that knows pydicom."""

from medgen.io.dicom.read import read
from medgen.io.dicom.write import write
from medgen.io.dicom.write_report import ReportText, write_text_sr

__all__ = ["ReportText", "read", "write", "write_text_sr"]

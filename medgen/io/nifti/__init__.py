"""NIfTI in and out; the only code that imports nibabel."""

from medgen.io.nifti.reader import read
from medgen.io.nifti.rewrite import rewrite
from medgen.io.nifti.writer import write

__all__ = ["read", "rewrite", "write"]

"""What stands below a report that medgen has written: its warnings, and that it is synthetic."""

import re
from collections.abc import Sequence

from medgen.io.provenance import Provenance

WARNING = "Warning: "
MARKS = re.compile(rf"\n\n(?:{WARNING}[^\n]*\n)*SYNTHETIC report by medgen [^\n]*\s*\Z")


def marked(report: str, warnings: Sequence[str], provenance: Provenance) -> str:
    """A report with its marks.

    Args:
        report: What the images show.
        warnings: What whoever reads it should know.
        provenance: How it was made.
    """
    cautions = "".join(f"{WARNING}{one}\n" for one in warnings)
    mark = f"{provenance.sentence_of('report')}. Research only; not for clinical use."
    return f"{report}\n\n{cautions}{mark}\n"


def unmarked(text: str) -> str:
    """What the images show, whoever has written the report."""
    return MARKS.sub("", text)

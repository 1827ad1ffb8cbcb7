"""Names in a manifest stay out of a record, and it replaces none of the files that are listed."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from medgen.errors import InputError
from medgen.record import Record
from medgen.tasks.batch import manifest_of

if TYPE_CHECKING:
    from medgen.data.study import Study


def hide_study(log: Record, study: "Study", digest: str = "") -> None:
    """Keep the names of a study and of its files out of the record.

    Raises:
        UsageError: If the record would replace one of the files.
    """
    for path in study.files:
        log.hide(path, digest)
    log.hide(Path(f"{study.id}.png"), digest)  # as results are called after it


def hide_listed(log: Record, path: Path) -> None:
    """Keep out of the record what a manifest names, in lines that are wrong as well.

    Of what is no manifest there is nothing to hide, and one that cannot be read is told later.
    """
    from medgen.data.manifest import names_in  # pydantic takes a while

    manifest = manifest_of(path)
    if manifest is None:
        return
    with suppress(InputError):
        for name in names_in(manifest):
            log.hide_word(name)


def hide_manifest(log: Record, manifest: Path) -> None:
    """The same of every study that a manifest lists, which must be right.

    Raises:
        InputError: If it cannot be read.
        UsageError: If the record would replace a file of one of them.
    """
    from medgen.data.manifest import read_manifest  # pydantic takes a while

    hide_listed(log, manifest)
    for study in read_manifest(manifest, allow_outside=True):
        hide_study(log, study)

"""A file as the command line names it, with what it is where the file does not say."""

from dataclasses import dataclass
from pathlib import Path

from medgen.modality import Kind


@dataclass(frozen=True)
class Given:
    """An image's file, and what the user says that it is."""

    path: Path
    kind: Kind | None = None

    @classmethod
    def parse(cls, word: str) -> "Given":
        """Read `KIND=FILE` or `FILE`.

        Raises:
            UsageError: If the kind is none.
        """
        kind, equals, rest = word.partition("=")
        is_named = bool(equals) and not Path(word).exists()
        return cls(Path(rest), Kind.parse(kind)) if is_named else cls(Path(word))

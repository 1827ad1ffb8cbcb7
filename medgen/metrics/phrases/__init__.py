"""Phrase files: the words of reports, in tables that people can extend."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medgen.errors import InputError, UsageError

FOLDER = Path(__file__).parent
TABLES = (
    *("absent", "uncertain", "affirmed", "past", "ends", "side", "severity", "course"),
    *("finding", "unsided", "region", "says", "context", "meant"),
)
NAMES = ("finding", "region", "context")  # tables whose phrases have plurals
ANY_WORDS = r"(?:[\w-]+[\s-]+){0,3}"  # what `*` stands for


@dataclass(frozen=True)
class Mention:
    """A phrase in a text.

    Attributes:
        meaning: What the table says it means.
        start: Where it begins.
        end: Where it has ended.
    """

    meaning: str
    start: int
    end: int


@dataclass(frozen=True)
class Lexicon:
    """Phrases and what they mean.

    Attributes:
        meanings: Phrase, in lower case with single spaces, to meaning.
        pattern: Finds any of them in small letters, the longest first.
        loose: Finds any phrase with a `*`, which stands for up to three words; the number of its
            group is that of its meaning.
        loosely: Those meanings.
    """

    meanings: Mapping[str, str]
    pattern: re.Pattern[str]
    loose: re.Pattern[str]
    loosely: tuple[str, ...] = ()

    def find(self, text: str) -> Iterator[Mention]:
        """Yield the phrases of a text from left to right; none overlaps another."""
        text = _small(text)
        found = [
            Mention(self.meanings[_plain(match[0])], *match.span())
            for match in self.pattern.finditer(text)
        ]
        found += [
            Mention(self.loosely[(match.lastindex or 1) - 1], *match.span())
            for match in self.loose.finditer(text)
        ]
        kept: list[Mention] = []
        for one in sorted(found, key=lambda each: (each.start - each.end, each.start)):
            if all(one.start >= other.end or one.end <= other.start for other in kept):
                kept.append(one)
        yield from sorted(kept, key=lambda each: each.start)

    def begins(self, text: str) -> int:
        """Where the phrase ends that a text begins with; 0 if it begins with none."""
        phrase = self.pattern.match(_small(text))
        return phrase.end() if phrase else 0


@dataclass(frozen=True)
class Phrases:
    """What the words of reports mean.

    Attributes:
        absent: Denials, `before` or `after` what they deny.
        uncertain: Doubts, likewise.
        affirmed: What looks like a denial and is none, such as `not without`, likewise.
        past: What says that something was there, or is asked about, and not that it is, likewise.
        ends: What ends the reach of both.
        side: Words for `left`, `right` and `both`.
        severity: Words for `small`, `moderate` and `large`.
        course: Words for `new`, `unchanged`, `larger` and `gone`.
        finding: Names of findings.
        region: Parts of the body.
        says: Statements that deny findings without naming them.
        denied: Those findings.
        unsided: Findings that have no side.
        context: Words that say which part of the body a text is about.
        meant: What a finding is called in such a text: oedema in a head is brain oedema.
    """

    absent: Lexicon
    uncertain: Lexicon
    affirmed: Lexicon
    past: Lexicon
    ends: Lexicon
    side: Lexicon
    severity: Lexicon
    course: Lexicon
    finding: Lexicon
    region: Lexicon
    says: Lexicon
    denied: Mapping[str, tuple[str, ...]]
    unsided: frozenset[str]
    context: Lexicon
    meant: Mapping[str, tuple[str, ...]]

    def rest(self, text: str) -> str:
        """A text with blanks in place of every phrase: what nobody reads in it.

        Example:
            >>> load_phrases().rest("Small left effusion, zygomatic.").split()
            [',', 'zygomatic.']
        """
        lexicons = [each for each in vars(self).values() if isinstance(each, Lexicon)]
        for one in [found for lexicon in lexicons for found in lexicon.find(text)]:
            text = text[: one.start] + " " * (one.end - one.start) + text[one.end :]
        return text


@cache
def load_phrases(extra: tuple[Path, ...] = ()) -> Phrases:
    """The bundled phrase files, with those of the user added to them; read once a process.

    Args:
        extra: TOML files with some of the same tables; what they add comes on top.

    Raises:
        InputError: If a file cannot be read.
        UsageError: If it has other tables, or something else than lists of words in them.
    """
    tables: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in TABLES}
    for path in (*sorted(FOLDER.glob("*.toml")), *extra):
        for name, entries in _read(path).items():
            for meaning, words in entries.items():
                tables[name][meaning] = (*tables[name].get(meaning, ()), *words)
    denied, meant = tables.pop("says"), tables.pop("meant")
    unsided = frozenset(name for names in tables.pop("unsided").values() for name in names)
    lexicons = {name: _lexicon(each, is_named=name in NAMES) for name, each in tables.items()}
    says = _lexicon({statement: (statement,) for statement in denied}, is_named=True)
    return Phrases(**lexicons, says=says, denied=denied, unsided=unsided, meant=meant)


def _read(path: Path) -> dict[str, dict[str, list[str]]]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not TOML: {error}") from error
    for name, entries in found.items():
        if name not in TABLES:
            raise UsageError(f"{path}: [{name}] is not one of {', '.join(TABLES)}")
        if not isinstance(entries, dict) or not all(map(_are_words, entries.values())):
            raise UsageError(f"{path}: [{name}] holds something else than lists of words")
    return found


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and _plain(one) for one in value)


def _lexicon(entries: Mapping[str, Iterable[str]], *, is_named: bool) -> Lexicon:
    """Phrases of a table; where they are names, the last word may have the ending of a plural."""
    meanings = {_plain(phrase): meaning for meaning, many in entries.items() for phrase in many}
    plurals = {f"{p}{end}": meaning for p, meaning in meanings.items() for end in ("s", "es")}
    meanings = (plurals if is_named else {}) | meanings
    longest_first = sorted(meanings, key=len, reverse=True)
    loose = [phrase for phrase in longest_first if "*" in phrase]
    # The group that tells which phrase it was is behind it, so that most fail at the first letter.
    words = [f"{ANY_WORDS.join(_spaced(part.lstrip()) for part in p.split('*'))}()" for p in loose]
    plain = {phrase: meanings[phrase] for phrase in longest_first if "*" not in phrase}
    return Lexicon(
        plain,
        _compiled("|".join(map(_spaced, plain))),
        _compiled("|".join(words)),
        tuple(meanings[phrase] for phrase in loose),
    )


def _spaced(phrase: str) -> str:
    """The pattern of a phrase or of its part; blanks at its ends are kept."""
    return r"[\s-]+".join(map(re.escape, phrase.split(" ")))


def _compiled(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{words or '(?!)'})(?!\w)")


def _small(text: str) -> str:
    """Small letters, each where its capital stood: to look for both takes four times as long."""
    if text.isascii():
        return text.lower()
    return "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


def _plain(words: str) -> str:
    """Lower case, one space between words."""
    return " ".join(re.findall(r"[^\s-]+", words.lower()))

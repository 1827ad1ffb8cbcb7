"""Text to numbers and back: byte pairs learned from a corpus of reports."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch
from jaxtyping import Bool, Int
from tokenizers import decoders, models, pre_tokenizers, trainers
from torch import Tensor

from medgen.errors import ModelError, UsageError
from medgen.io.atomic import atomic_file

PAD, START, END = 0, 1, 2
SPECIAL = 3  # numbers that stand for no text; no text can spell them
BYTES = 256
LEAST = BYTES + SPECIAL  # numbers of any tokenizer
MAX_WORDS = 50_000  # remembered of a corpus: 0.5 MB
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Tokens:
    """A batch of texts as numbers.

    Attributes:
        ids: START, the text, END, then PAD up to the longest text of the batch.
        cut: How many tokens of each text did not fit.
    """

    ids: Int[Tensor, "batch tokens"]
    cut: tuple[int, ...]

    @property
    def mask(self) -> Bool[Tensor, "batch tokens"]:
        """True where there is a token, False where there is padding."""
        return self.ids != PAD


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """Byte-level byte-pair encoding: every text has an encoding, and none is unknown.

    Digits stand alone, so that a size never seen is made of digits that were.

    Attributes:
        bpe: The learned pairs; their numbers are `SPECIAL` lower than ours.
        words: The words of the corpus in lower case.
        lowercase: Texts are read in lower case, and decoded so.

    Example:
        >>> tokenizer = train_tokenizer(["Small left effusion."] * 2, 300)
        >>> tokenizer.decode(tokenizer.encode(["No effusion: 12 mm"], max_tokens=32).ids[0])
        'No effusion: 12 mm'
    """

    bpe: tokenizers.Tokenizer
    words: frozenset[str]
    lowercase: bool = False

    @property
    def size(self) -> int:
        """Numbers in use, from 0."""
        return SPECIAL + int(self.bpe.get_vocab_size())

    def encode(self, texts: Sequence[str], *, max_tokens: int) -> Tokens:
        """Numbers of a batch of texts; an empty text is START and END.

        Args:
            texts: Any Unicode.
            max_tokens: At most so many for each text, START and END among them; at least 2.
        """
        room = max_tokens - 2
        whole = [self._pieces(text) for text in texts]
        rows = [[START, *pieces[:room], END] for pieces in whole]
        longest = max(map(len, rows), default=0)
        padded = [row + [PAD] * (longest - len(row)) for row in rows]
        ids = torch.tensor(padded, dtype=torch.long).reshape(len(rows), longest)
        return Tokens(ids, tuple(max(0, len(pieces) - room) for pieces in whole))

    def split(self, text: str, *, max_tokens: int) -> tuple[str, str]:
        """What of a text fits, and what does not; nothing is changed where all of it fits.

        Args:
            text: Any Unicode.
            max_tokens: As for `encode`.
        """
        pieces, room = self._pieces(text), max_tokens - 2
        if len(pieces) <= room:
            return text, ""
        return self.decode(pieces[:room]).strip(), self.decode(pieces[room:]).strip()

    def decode(self, ids: Sequence[int] | Int[Tensor, "tokens"]) -> str:
        """The text of one row of numbers; a letter that was cut in two becomes �."""
        return str(self.bpe.decode([int(one) - SPECIAL for one in ids if one >= SPECIAL]))

    def unseen_share(self, text: str) -> float:
        """Share of the words of a text that the corpus did not have, 0 … 1; 0 without words.

        A byte-level vocabulary has no unknown token, and a rare word that was in the corpus
        falls into as many pieces as a foreign one; so the words themselves are remembered.
        Numbers are no words.
        """
        words = _words(text)
        return sum(word not in self.words for word in words) / max(1, len(words))

    def unseen(self, text: str) -> tuple[str, ...]:
        """The words of a text that the corpus did not have, each once, in their order."""
        return tuple(dict.fromkeys(word for word in _words(text) if word not in self.words))

    def to_json(self) -> str:
        """All there is to know, as `from_json` reads it; equal tokenizers give equal text."""
        values = {
            "lowercase": self.lowercase,
            "words": sorted(self.words),
            "bpe": json.loads(self.bpe.to_str()),
        }
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Tokenizer":
        """Read what `to_json` wrote.

        Raises:
            ModelError: If it is something else.
        """
        try:
            values = json.loads(text)
            words, lowercase = frozenset(values["words"]), bool(values["lowercase"])
            return cls(_bpe(json.dumps(values["bpe"])), words, lowercase)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ModelError("the tokenizer is damaged; copy the model again") from None

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write one JSON file, whole or not at all.

        Raises:
            OutputError: If it is there already, or cannot be written.
        """
        with atomic_file(path, overwrite=overwrite) as draft:
            draft.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read the file that `save` wrote.

        Raises:
            ModelError: If it cannot be read, or is damaged.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
        except (ModelError, UnicodeDecodeError):
            raise ModelError(f"{path}: is not a tokenizer, or damaged; copy it again") from None

    def _pieces(self, text: str) -> list[int]:
        text = text.lower() if self.lowercase else text
        return [SPECIAL + piece for piece in self.bpe.encode(text).ids]


def train_tokenizer(texts: Iterable[str], size: int, *, lowercase: bool = False) -> Tokenizer:
    """Learn a tokenizer; the same texts in any order give the same one.

    Args:
        texts: The corpus; read once, one text after the other.
        size: Most numbers in use; a small corpus may not have so many pairs.
        lowercase: Read all text in lower case: half the words to learn, no names to tell apart.

    Raises:
        UsageError: If there is not a number for every byte.

    Source: Radford et al. 2019, section 2.2, `Language Models are Unsupervised Multitask Learners`.
    """
    if size < LEAST:
        raise UsageError(f"a vocabulary of {size} is too small; {LEAST} is the least")
    counts: Counter[str] = Counter()

    def counted() -> Iterator[str]:
        for text in texts:
            counts.update(_words(text))
            yield text.lower() if lowercase else text

    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size - SPECIAL, show_progress=False, initial_alphabet=alphabet
    )
    bpe.train_from_iterator(counted(), trainer)
    often = sorted(counts, key=lambda word: (-counts[word], word))
    return Tokenizer(bpe, frozenset(often[:MAX_WORDS]), lowercase)


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _bpe(text: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the library raises no class of its own
        raise ValueError(str(error)) from None

"""Every text comes back as it was, and what it costs to read it is known."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medgen.encoders.tokenizer import END, PAD, SPECIAL, START, Tokenizer, train_tokenizer
from medgen.errors import ModelError, OutputError, UsageError

CORPUS = [
    "Small left pleural effusion. No pneumothorax.",
    "Large right pleural effusion, no nodule.",
    "12 mm nodule in the left upper lobe.",
    "No acute abnormality.",
] * 3
PLAIN = train_tokenizer(CORPUS, 320)
LOWER = train_tokenizer(CORPUS, 320, lowercase=True)


def decoded(tokenizer: Tokenizer, text: str) -> str:
    room = 2 + 4 * len(text)
    return tokenizer.decode(tokenizer.encode([text], max_tokens=room).ids[0])


@given(st.text())
def test_every_text_comes_back(text: str) -> None:
    assert decoded(PLAIN, text) == text


@given(st.text())
def test_lower_case_is_lower_case_and_nothing_else(text: str) -> None:
    assert decoded(LOWER, text) == text.lower()


@pytest.mark.parametrize(
    "text", ["", " ", "<pad>", "[START]", "</s>", "\0\ufeff\r\n", "a" * 50_000]
)
def test_odd_texts_come_back(text: str) -> None:
    assert decoded(PLAIN, text) == text


def test_a_batch_is_framed_and_padded() -> None:
    tokens = PLAIN.encode(["No nodule.", ""], max_tokens=32)
    first, empty = tokens.ids.tolist()
    assert first[0] == START
    assert first[-1] == END
    assert empty == [START, END] + [PAD] * (len(first) - 2)
    assert tokens.mask.sum(1).tolist() == [len(first), 2]
    assert tokens.cut == (0, 0)


def test_an_empty_batch_has_no_rows() -> None:
    assert PLAIN.encode([], max_tokens=8).ids.shape == (0, 0)


def test_what_does_not_fit_is_cut_and_counted() -> None:
    whole = PLAIN.encode([CORPUS[0]], max_tokens=999).ids[0].tolist()
    cut = PLAIN.encode([CORPUS[0], "No"], max_tokens=8)
    assert cut.ids[0].tolist() == [*whole[:7], END]
    assert cut.cut == (len(whole) - 8, 0)


def test_frequent_words_are_one_token_and_digits_are_each_their_own() -> None:
    assert PLAIN.encode([" effusion"], max_tokens=9).mask.sum() == 3
    assert PLAIN.encode(["125"], max_tokens=9).mask.sum() == 5


def test_all_numbers_are_below_the_size() -> None:
    everything = bytes(range(256)).decode("latin-1") + "".join(CORPUS)
    ids = PLAIN.encode([everything], max_tokens=9999).ids
    assert int(ids.max()) < PLAIN.size <= 320
    assert int(ids[0, 1:-1].min()) >= SPECIAL


def test_the_order_of_the_corpus_does_not_matter() -> None:
    shuffled = random.Random(0).sample(CORPUS, len(CORPUS))
    assert train_tokenizer(iter(shuffled), 320).to_json() == PLAIN.to_json()


def test_another_process_learns_the_same() -> None:
    code = (
        "import json, sys; from medgen.encoders.tokenizer import train_tokenizer; "
        "print(train_tokenizer(json.loads(sys.argv[1]), 320).to_json())"
    )
    command = [sys.executable, "-c", code, json.dumps(CORPUS)]
    said = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    assert said.stdout.strip() == PLAIN.to_json()


def test_words_that_the_corpus_did_not_have_are_counted() -> None:
    assert PLAIN.unseen_share("LEFT effusion") == 0
    assert PLAIN.unseen_share("Left Pleuraerguss, kein effusion") == pytest.approx(2 / 4)
    assert PLAIN.unseen_share("77 mm") == 0
    assert PLAIN.unseen_share("") == 0


def test_a_file_holds_it_all(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    LOWER.save(path)
    assert Tokenizer.load(path).to_json() == LOWER.to_json()
    assert decoded(Tokenizer.load(path), "Left") == "left"
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]
    with pytest.raises(OutputError, match="already exists"):
        PLAIN.save(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"words": [], "bpe": {}}'])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path / "tokenizer.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        Tokenizer.load(tmp_path / "none.json")


def test_a_vocabulary_smaller_than_the_bytes_is_refused() -> None:
    with pytest.raises(UsageError, match="259"):
        train_tokenizer(CORPUS, 258)
    assert train_tokenizer([], 259).size == 259


def test_ids_are_what_an_embedding_takes() -> None:
    assert PLAIN.encode(["No"], max_tokens=8).ids.dtype == torch.long


def test_a_text_is_split_where_it_no_longer_fits() -> None:
    text = "No effusion. Heart size normal."
    assert PLAIN.split(text, max_tokens=256) == (text, "")
    length = PLAIN.encode([text], max_tokens=256).ids.shape[1]
    kept, cut = PLAIN.split(text, max_tokens=length - 3)
    assert cut
    assert "".join((kept + cut).split()).lower() == "".join(text.split()).lower()
    assert PLAIN.encode([text], max_tokens=length - 3).cut == (3,)

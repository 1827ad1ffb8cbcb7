"""Scores of reports: exact where paper and pencil reach, and all of them see what they should."""

import math
from collections import Counter

import pytest

from medgen.metrics import text
from medgen.metrics.text import bleu, cider_d, meteor, rouge_l, text_scores, tokens

TRUTH = [
    "small left pleural effusion .",
    "no pneumothorax or effusion .",
    "the heart is enlarged .",
]


def test_of_equal_reports() -> None:
    scores = text_scores(TRUTH, TRUTH)
    assert [scores[f"bleu-{order}"] for order in (1, 2, 3, 4)] == pytest.approx([1] * 4)
    assert scores["rouge-l"] == pytest.approx(1)
    assert scores["cider-d"] == pytest.approx(10)
    assert scores["meteor"] == pytest.approx(1 - 0.5 * (2 / 125 + 1 / 125) / 3, abs=1e-2)


def test_of_reports_without_a_common_word() -> None:
    scores = text_scores(["x y z", "u v", "w"], TRUTH)
    assert set(scores.values()) == {0.0}


def test_bleu_by_hand() -> None:
    """5 of 6 words; 3 of 5 pairs; the brevity penalty of 6 words for 7 is exp(1 - 7/6)."""
    written, truth = ["a b c x e f"], ["a b c d e f g"]
    found = bleu(written, truth)
    penalty = math.exp(1 - 7 / 6)
    assert found["bleu-1"] == pytest.approx(penalty * 5 / 6)
    assert found["bleu-2"] == pytest.approx(penalty * math.sqrt(5 / 6 * 3 / 5))
    assert found["bleu-4"] == 0  # no run of four words


def test_nobody_is_told_to_take_the_tokens_apart_again(caplog: pytest.LogCaptureFixture) -> None:
    assert bleu(["No effusion."] * 120, ["No effusion."] * 120)["bleu-1"] == pytest.approx(1)
    assert not caplog.records


def test_rouge_l_by_hand() -> None:
    """The longest common subsequence of the two is `a c e`."""
    assert rouge_l(["a b c e"], ["a c d e f"]) == pytest.approx(2 * 3 / (4 + 5))


def test_meteor_knows_stems_and_order() -> None:
    assert meteor(["effusions"], ["effusion"]) > 0.4
    assert meteor(["left small effusion"], ["small left effusion"]) < meteor(
        ["small left effusion"], ["small left effusion"]
    )


def slow_cider(written: list[str], truth: list[str]) -> float:
    """Word for word as the paper has it."""

    def grams(words: list[str], n: int) -> Counter:
        return Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))

    total = 0.0
    for one, true in zip(written, truth, strict=True):
        score = 0.0
        for n in (1, 2, 3, 4):
            here, there = grams(one.split(), n), grams(true.split(), n)
            rare = {}
            for gram in here | there:
                count = sum(gram in grams(each.split(), n) for each in truth)
                rare[gram] = math.log(len(truth) / max(1, count))
            g, h = ({k: v * rare[k] for k, v in each.items()} for each in (here, there))
            norm = math.sqrt(sum(v * v for v in g.values()) * sum(v * v for v in h.values()))
            if norm:
                score += sum(min(g.get(k, 0), h[k]) * h[k] for k in h) / norm / 4
        longer = len(one.split()) - len(true.split())
        total += 10 * score * math.exp(-(longer**2) / 72)
    return total / len(truth)


def test_cider_d_is_the_papers() -> None:
    written = ["small right effusion .", "no pneumothorax .", "effusion effusion effusion ."]
    assert cider_d(written, TRUTH) == pytest.approx(slow_cider(written, TRUTH))


def test_rare_words_count_more() -> None:
    right, wrong = TRUTH.copy(), TRUTH.copy()
    right[0], wrong[0] = "small left pleural effusion x", "x left pleural effusion ."
    assert cider_d(right, TRUTH) > cider_d(wrong, TRUTH)


def test_tokens_keep_numbers_whole() -> None:
    assert tokens("A 1.5-cm nodule,stable.") == [
        "a",
        "1.5",
        "-",
        "cm",
        "nodule",
        ",",
        "stable",
        ".",
    ]


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    text._library.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    with pytest.raises(text.UsageError, match=r"pip install 'medgen\[eval\]'"):
        bleu(["a"], ["a"])
    text._library.cache_clear()

"""How like reports are to those of people, word by word: BLEU, ROUGE-L, METEOR, CIDEr-D.

The first three are of well-kept libraries. METEOR knows equal words and equal stems, for its table
of synonyms would have to be downloaded. None of them knows left from right: see `finding_scores`.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from medgen.errors import UsageError

ORDERS = (1, 2, 3, 4)
LENGTH_DEVIATION = 6.0  # words, by which CIDEr-D forgives another length
CIDER_SCALE = 10.0  # of the paper
Reports = Sequence[str]


def tokens(report: str) -> list[str]:
    """Lower case, punctuation apart, numbers whole.

    Example:
        >>> tokens("No effusion; a 1.5 cm nodule.")
        ['no', 'effusion', ';', 'a', '1.5', 'cm', 'nodule', '.']
    """
    return re.findall(r"\d+(?:\.\d+)?|[a-z]+|[^\w\s]", report.lower())


def text_scores(written: Reports, truth: Reports) -> dict[str, float]:
    """All scores of reports against those of people, in the same order; 0 to 1, CIDEr-D to 10.

    Raises:
        UsageError: If the libraries are not installed.
        ValueError: If there are not as many of one as of the other, or none.
    """
    if len(written) != len(truth) or not truth:
        raise ValueError(f"{len(written)} reports for {len(truth)}")
    return {
        **bleu(written, truth),
        "rouge-l": rouge_l(written, truth),
        "meteor": meteor(written, truth),
        "cider-d": cider_d(written, truth),
    }


def bleu(written: Reports, truth: Reports) -> dict[str, float]:
    """Corpus BLEU without smoothing, of up to 1, 2, 3 and 4 words.

    Source: Papineni et al. 2002; as sacrebleu computes it of our tokens (Post 2018,
    arXiv:1804.08771).
    """
    sacrebleu = _library("sacrebleu")
    pairs = [[" ".join(tokens(each)) for each in reports] for reports in (written, truth)]
    found = {}
    for order in ORDERS:
        metric = sacrebleu.BLEU(
            tokenize="none",
            max_ngram_order=order,
            smooth_method="none",
            force=True,  # our tokens are what is meant: it need not wonder
        )
        found[f"bleu-{order}"] = metric.corpus_score(pairs[0], [pairs[1]]).score / 100
    return found


def rouge_l(written: Reports, truth: Reports) -> float:
    """Mean F of the longest common subsequence, precision and recall counting the same.

    Source: Lin 2004; as rouge-score computes it, without stems.
    """
    scorer = _library("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    pairs = zip(written, truth, strict=True)
    return _mean(scorer.score(true, one)["rougeL"].fmeasure for one, true in pairs)


def meteor(written: Reports, truth: Reports) -> float:
    """Mean METEOR of equal words and equal stems.

    Source: Banerjee & Lavie 2005, with their weights, which are nltk's.
    """
    score = _library("nltk.translate.meteor_score").single_meteor_score
    stemmer = _library("nltk.stem.porter").PorterStemmer()
    return _mean(
        score(tokens(true), tokens(one), stemmer=stemmer, wordnet=_NoSynonyms)
        for one, true in zip(written, truth, strict=True)
    )


def cider_d(written: Reports, truth: Reports) -> float:
    """Mean CIDEr-D: likeness of runs of one to four words, the rarer a run the heavier.

    How rare a run is, the true reports say; in a corpus of one everything is in every report, and
    the score is 0.

    Source: Vedantam et al. 2015, section 5 and eq. 10 (arXiv:1411.5726).
    """
    of_truth = [_runs(report) for report in truth]
    documents = Counter(run for runs in of_truth for run in runs)
    weight = {run: math.log(len(truth) / count) for run, count in documents.items()}
    unknown = math.log(len(truth))  # of a run that no true report has
    return _mean(
        _likeness(_runs(one), true, weight, unknown, len(tokens(one)) - len(tokens(report)))
        for one, true, report in zip(written, of_truth, truth, strict=True)
    )


def _likeness(
    one: Counter[tuple[str, ...]],
    true: Counter[tuple[str, ...]],
    weight: dict[tuple[str, ...], float],
    unknown: float,
    longer: int,
) -> float:
    """Of one report, `longer` words longer than the true one."""
    penalty = math.exp(-(longer**2) / (2 * LENGTH_DEVIATION**2))
    total = 0.0
    for order in ORDERS:
        vectors = [
            {run: n * weight.get(run, unknown) for run, n in runs.items() if len(run) == order}
            for runs in (one, true)
        ]
        lengths = [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]
        # Said more often than in the truth counts as often as there.
        common = sum(
            min(vectors[0].get(run, 0.0), value) * value for run, value in vectors[1].items()
        )
        total += common / (lengths[0] * lengths[1]) if all(lengths) else 0.0
    return CIDER_SCALE * penalty * total / len(ORDERS)


def _runs(report: str) -> Counter[tuple[str, ...]]:
    words = tokens(report)
    return Counter(
        tuple(words[at : at + order]) for order in ORDERS for at in range(len(words) - order + 1)
    )


class _NoSynonyms:
    """Stands for a table of synonyms that has none."""

    @staticmethod
    def synsets(word: str) -> list[Any]:
        """None."""
        return []


def _mean(values: Iterator[float]) -> float:
    each = list(values)
    return sum(each) / len(each)


@cache
def _library(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise UsageError(f"{package} is missing; pip install 'medgen[eval]'") from None

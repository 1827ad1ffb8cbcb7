"""What is read of a report: what is told of its images, and not why they were made."""

import pytest

from medgen.metrics.report_text import plain_text, sentences_of


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Indication: rule out pneumonia. Small effusion.", "  Small effusion."),
        ("Clinical info: ?collapse ?consolidation. Clear.", "  Clear."),
        ("?effusion", "possible effusion"),
        ("Effusion: none.", "Effusion none."),
        ("Pneumonia, which was suspected, is absent.", "Pneumonia  is absent."),
        ("It isn't there.", "It isnt there."),
        ("Effusion left: 3 cm.", "Effusion left: 3 cm."),
    ],
)
def test_plain_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("No effusion. Heart normal", ["No effusion", " Heart normal"]),
        ("A 1.5 cm nodule. Stable", ["A 1.5 cm nodule", " Stable"]),
        ("72 yo man with cough. Effusion.", [" Effusion", ""]),
        ("Chest pain, query fracture. None seen.", [" None seen", ""]),
        ("Comparison is made with the film of May.", [""]),
    ],
)
def test_sentences_that_tell(text: str, told: list[str]) -> None:
    assert list(sentences_of(text)) == told

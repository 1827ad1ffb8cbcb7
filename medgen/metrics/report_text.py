"""The words of a report that speak of its images, in plain sentences."""

import re
from collections.abc import Iterator

SENTENCE_END = re.compile(
    r"(?<!\d)(?<!\bvs)(?<!\bapprox)[.!?;:]+(?=\s|$)|(?<=\d)\.(?=\s|$)|\n\s*\n|\n(?=\s*[-*•\d])"
)
SECTION = (  # what follows a section that tells why: what images show
    r"\b(?:findings?|impressions?|conclusions?|opinion|technique|report|results?|interpretation|"
    r"summary|procedure)\s*:"
)
ASKED = re.compile(  # sections that tell why images were made, and with which they are compared
    r"\b(?:indications?|clinical (?:info(?:rmation)?|details|history|question|data|background)|"
    r"(?:past )?(?:medical )?history|hx|pmh|reason for (?:the )?(?:exam(?:ination)?|study|request)|"
    r"request(?:ed for)?|referral|comparisons?)\s*:"
    rf"(?:(?:(?!{SECTION})[\s\S])*(?={SECTION})|(?:[^.?\n]|\?(?=\S))*(?:[.?\n]|$))",
    re.IGNORECASE,
)
ON_A_SIDE = re.compile(  # `Left lung: consolidation`
    r"(^\s*|[.!?;]\s+)((?:left|right)(?: (?:lung|hemithorax|pleural space|side))?)\s*:\s*",
    re.IGNORECASE | re.MULTILINE,
)
TOLD_BEFORE = re.compile(  # sentences about the patient or about another study
    r"\s*(?:\d+\s*(?:-|\s)?\s*(?:year|yr|y/?o)\w*\b|\d+\s*[fm]\b|comparison\b|shortness of breath|"
    r"(?:acute |worsening |chronic |sudden |new )?(?:chest pain|cough|fever|headaches?|confusion|"
    r"dyspn(?:o)?ea|breathless(?:ness)?|h(?:a)?emoptysis|seizures?|weakness|trauma|dizziness|vomiting|"
    r"collapsed? at|unwell|sepsis|fell|fall)\b|referred\b|admitted\b|thrombolysed\b|"
    r"known\b(?=.*\bfor (?:\w+\s+)?(?:assessment|review|follow|restaging)))",
    re.IGNORECASE,
)
ASIDE = re.compile(r",\s*(?:which|who)\b[^,.;\n]*,", re.IGNORECASE)
ANSWER = re.compile(r":\s*(?=(?:none|nil|absent|negative|not|no)\b)", re.IGNORECASE)
ASKS = re.compile(r"(?<![^\s:.?])((?:[\w-]+ ){0,2}[\w-]+)\?(?=\s|$)")
QUERY = re.compile(r"(?<![\w)])\?+\s*(?=[a-z])", re.IGNORECASE)
LETTERS = re.compile(r"(?<=\w)[\u2019'](?=\w)")


def plain_text(text: str) -> str:
    """A report without the sections that ask, and with its question marks in words.

    Example:
        >>> plain_text("Indication: cough. ?effusion on the left. Pneumothorax: none.")
        '  possible effusion on the left. Pneumothorax none.'
    """
    text = ANSWER.sub(" ", ASIDE.sub(" ", ASKED.sub(" ", LETTERS.sub("", text))))
    text = ON_A_SIDE.sub(r"\1\2 ", text)
    return QUERY.sub("possible ", ASKS.sub(r"possible \1.", text))


def sentences_of(text: str) -> Iterator[str]:
    """The sentences that tell what images show; those about the patient's past are left out."""
    start = 0
    for match in SENTENCE_END.finditer(text):
        yield from _told(text[start : match.start()])
        start = match.end()
    yield from _told(text[start:])


def _told(sentence: str) -> Iterator[str]:
    if not TOLD_BEFORE.match(sentence):
        yield sentence

"""One answer of the several that people gave, compared as the VQA metric compares them."""

import re
from collections import defaultdict
from collections.abc import Mapping

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip


def normalise_answer(text: str) -> str:
    """Return the answer as VQA compares it (Antol et al. 2015).

    Lower case, without punctuation and articles, numbers as digits. VQA's list of contractions
    is left out: it only puts apostrophes into words that lack them, and here both lose them.
    """
    text = re.sub(r"(?<=\w)['’](?=\w)", "", text.casefold())
    words = re.sub(r"[^\w\s]", " ", text).split()
    return " ".join(_NUMBERS.get(word, word) for word in words if word not in _ARTICLES)


def most_common_answer(votes: Mapping[str, float]) -> str:
    """Return the answer with the most votes.

    Of several with as many, the one whose normalised form has the most, and of those the first.
    """
    together: defaultdict[str, float] = defaultdict(float)
    for answer, count in votes.items():
        together[normalise_answer(answer)] += count
    return max(votes, key=lambda answer: (votes[answer], together[normalise_answer(answer)]))

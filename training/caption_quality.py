"""Attribute-level precision and recall of captions, by family of attribute.

A caption is read back into facts (`("hair", "person 1 of 2", "brown")`); a fact counts as found
when the true caption states it too. Things carry no place, so that one missed thing does not shift
all that follow; people do, because the sentence says where they are.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

FAMILIES = ("people", "hair", "shirt", "hat", "glasses", "hand", "things", "thing_colours")
Fact = tuple[str, ...]

_PERSON = re.compile(
    r"a person with (?P<hair>\w+) hair in a (?P<shirt>\w+) shirt(?: with (?P<worn>.*?))?"
    r"(?P<hand> raising a hand)?$"
)
_HAT = re.compile(r"a (\w+) hat")
_THING = re.compile(r"a (\w+) (\w+)$")


def facts(caption: str) -> set[Fact]:
    """Return the facts of a canonical caption, one tuple each, its family first."""
    people, _, things = caption.strip().partition(". there is ")
    described = people.rstrip(".").split(";")
    found: set[Fact] = {("people", str(len(described)))}
    for place, text in enumerate(described, start=1):
        found |= _person_facts(text.strip(), f"{place} of {len(described)}")
    for text in things.rstrip(".").split(","):
        match = _THING.search(text.strip())
        if match:
            found |= {("things", match[2]), ("thing_colours", match[2], match[1])}
    return found


def _person_facts(text: str, place: str) -> set[Fact]:
    match = _PERSON.search(text)
    if match is None:
        return set()
    found: set[Fact] = {("hair", place, match["hair"]), ("shirt", place, match["shirt"])}
    worn = match["worn"] or ""
    hat = _HAT.search(worn)
    if hat:
        found.add(("hat", place, hat[1]))
    if "glasses" in worn:
        found.add(("glasses", place))
    if match["hand"]:
        found.add(("hand", place))
    return found


@dataclass(frozen=True)
class Score:
    """Both 0 where there was nothing to find."""

    precision: float
    recall: float


def attribute_scores(pairs: Iterable[tuple[str, str]]) -> dict[str, Score]:
    """Return scores by family, and over all facts as `all`, from (said, true) captions."""
    right: Counter[str] = Counter()
    said: Counter[str] = Counter()
    true: Counter[str] = Counter()
    for said_caption, true_caption in pairs:
        said_facts, true_facts = facts(said_caption), facts(true_caption)
        for counter, of in (
            (right, said_facts & true_facts),
            (said, said_facts),
            (true, true_facts),
        ):
            counter.update(fact[0] for fact in of)
            counter["all"] += len(of)
    return {
        family: Score(
            right[family] / said[family] if said[family] else 0.0,
            right[family] / true[family] if true[family] else 0.0,
        )
        for family in (*FAMILIES, "all")
    }

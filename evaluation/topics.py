"""What a question of the demo world asks about, read from its text.

The example bank stores questions as anybody would, without kind or subject, so whether a retrieved
example is relevant has to be read. Questions of other worlds have no topic.
"""

import re

from bank.answers import normalise_answer

Topic = tuple[str, str]
"""Kind and subject, as in `training.questions.Question`."""

_FORMS: tuple[tuple[str, str], ...] = (
    ("count_people", r"how many (people) (?:are there|are in the room|do you see)"),
    ("count_wearing", r"how many people (?:are )?(?:wear|rais)\w* (?:a )?(hat|glasses|hand)"),
    ("shirt_colour", r"(?:what|which) colour is the shirt of the person (.+)"),
    ("shirt_colour", r"which shirt colour does the person (.+) wear"),
    ("shirt_colour", r"(?:what|which) colour is the shirt()"),
    ("hat_colour", r"(?:what|which) colour is the (hat)"),
    ("hair_colour", r"what colour is the hair of the person in the (\w+) shirt"),
    ("hair_colour", r"which hair colour does the person in the (\w+) shirt have"),
    ("thing_colour", r"(?:what|which) colour is the (\w+)"),
    ("who_wears", r"who ((?:wears|has|raises) .+)"),
    ("beside", r"what (?:is|stands) directly to the (?:left|right) of the (\w+)"),
    ("side", r"is the (\w+) to the (?:left|right) of the \w+"),
    ("presence", r"is there an? (\w+)(?: in the room)?"),
    ("presence", r"do you see an? (\w+)"),
    ("missing", r"which of these is (?:missing|not here): .+()"),
    ("owner", r"whose (\w+) is this"),
    ("owner", r"who owns the (\w+)"),
    ("room", r"(?:which|what) (room) is this"),
    ("knowledge", r"(?:what here|which thing) (.+)"),
)  # fmt: skip


def topic(question: str, answer: str) -> Topic | None:
    """Return what the question is about; the subject of a missing thing is its answer."""
    plain = question.casefold().replace("color", "colour").strip().removesuffix("?")
    for kind, form in _FORMS:
        found = re.fullmatch(form, plain)
        if found:
            unnamed = normalise_answer(answer) if kind == "missing" else "alone"
            return kind, found[1] or unnamed
    return None

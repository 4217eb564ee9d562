"""The prompts that the answerer learns from: one scene with many questions, or few-shot as served.

Nothing here knows of tokens; `training.encoding` does.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from deployments.assembler import describe
from deployments.settings import AssemblerSettings
from training.questions import (
    KINDS,
    NUMBERS,
    OWNER_NAMES,
    UNKNOWN,
    Question,
    as_typed,
    ask,
)
from training.questions import vocabulary as question_vocabulary
from training.scenes import (
    COLOURS,
    HAIR_COLOURS,
    ROOMS,
    THINGS,
    Person,
    Scene,
    Split,
    Thing,
    canonical_caption,
    sample_scene,
    tags,
)

INSTRUCTION = AssemblerSettings().instruction
SYSTEM, USER, ASSISTANT, END = ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
NO_BOX = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Turn:
    """One user message with its answer; `weight` is what the answer counts in the loss."""

    caption: str
    tags: tuple[str, ...]
    question: Question
    weight: float = 1.0

    @property
    def user(self) -> str:
        """The user message, as the assembler writes it."""
        return describe(self.caption, self.tags, self.question.question)


Conversation = Sequence[Turn]


def many_questions(scene: Scene, rng: Random, kinds: Sequence[str], count: int) -> Conversation:
    """Return one context and `count` questions about it, all different if the scene allows."""
    asked: dict[str, Question] = {}
    for _ in range(3 * count):
        question = _solo(ask(rng.choice(kinds), scene, rng))
        if question is not None and len(asked) < count:
            asked.setdefault(question.question, question)
    caption, labels = seen(scene)
    turns = [
        Turn("", (), replace(question, question=as_typed(question.question, rng)))
        for question in asked.values()
    ]
    return [replace(turns[0], caption=caption, tags=labels), *turns[1:]]


def recalled(rng: Random, count: int) -> Conversation:
    """Return repeated questions about owners and room, without a description.

    What was told before can be told again; the first time counts for nothing.
    """
    household = {label: rng.choice(OWNER_NAMES) for label in rng.sample(THINGS, 4)}
    room = rng.choice(ROOMS)
    scene = Scene(0, "train", room, (), tuple(Thing(label, "", NO_BOX) for label in household))
    turns: list[Turn] = []
    told: set[str] = set()
    for _ in range(count):
        question = ask(rng.choice(("owner", "owner", "owner", "room")), scene, rng)
        if question is None:
            continue
        answer = household.get(question.subject, room)
        question = replace(question, answer=answer, question=as_typed(question.question, rng))
        turns.append(Turn("", (), question, float(question.subject in told)))
        told.add(question.subject)
    return turns


def _solo(question: Question | None) -> Question | None:
    """Return the question as it is answered without any example."""
    if question is None or question.kind not in ("owner", "room"):
        return question
    return replace(question, answer=UNKNOWN)


def seen(scene: Scene) -> tuple[str, tuple[str, ...]]:
    """Return caption and tags of a scene as perfect models would give them."""
    return canonical_caption(scene), tuple(label for label, _ in tags(scene))


@dataclass
class Pool:
    """Solved questions of many scenes, from which examples are drawn as the retriever would."""

    split: Split
    turns: list[Turn] = field(default_factory=list)
    by_kind: dict[str, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    by_subject: dict[tuple[str, str], list[Turn]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, seeds: range, split: Split, rng: Random) -> "Pool":
        """Return all kinds of questions about the scenes of these seeds."""
        pool = cls(split)
        for seed in seeds:
            scene = sample_scene(seed, split)
            caption, labels = seen(scene)
            for kind in KINDS:
                question = ask(kind, scene, rng)
                if question is not None:
                    pool.add(Turn(caption, labels, question))
        return pool

    def add(self, turn: Turn) -> None:
        """Add one solved question."""
        self.turns.append(turn)
        self.by_kind[turn.question.kind].append(turn)
        self.by_subject[turn.question.kind, turn.question.subject].append(turn)

    def alike(self, question: Question, rng: Random) -> Turn:
        """Return a turn as a retriever by image and question might find it.

        60 % same kind and subject, 20 % same kind, 5 % same subject, 15 % any.
        """
        same = self.by_subject[question.kind, question.subject]
        draw = rng.random()
        if draw < 0.6 and same:
            return rng.choice(same)
        if draw < 0.8:
            return rng.choice(self.by_kind[question.kind])
        if draw < 0.85:
            kind = rng.choice(tuple(KINDS))
            return rng.choice(self.by_subject.get((kind, question.subject)) or self.turns)
        return rng.choice(self.turns)


@dataclass(frozen=True)
class Blemishes:
    """How often, and never in the examples, the own context is not what perfect models give."""

    wrong: float = 0.0
    """One thing or attribute is wrong in the caption, or one tag."""
    absent: float = 0.0
    """The caption, the tags or both are absent, as when a stage failed."""


def few_shot(
    pool: Pool, kind: str, shots: int, rng: Random, blemishes: Blemishes | None = None
) -> Conversation:
    """Return a prompt as served: examples, the last the most similar, then a scene of its own.

    The household is drawn anew for every prompt, so that names can only be read in the examples.
    """
    own = None
    while own is None:
        scene = sample_scene(rng.randrange(10**9), pool.split)
        own = ask(kind, scene, rng)
    examples = [pool.alike(own, rng) for _ in range(shots)]
    if kind == "owner" and rng.random() < 0.15:
        examples = [turn for turn in examples if turn.question.subject != own.subject]
    caption, labels = blemished(scene, rng, blemishes or Blemishes())
    final = Turn(caption, labels, own)
    turns = [*examples, final]
    typed = rng.random() < 0.4
    told = _with_random_owners(turns, rng)
    if typed:
        told[-1] = replace(
            told[-1],
            question=replace(told[-1].question, question=as_typed(told[-1].question.question, rng)),
        )
    return told


EXAMPLE_WEIGHT = 0.3
"""Loss weight of an example's answer; the last answer has 1."""


def _with_random_owners(turns: list[Turn], rng: Random) -> list[Turn]:
    """Replace owners by those of a random household; the last answer is `unknown` if no turn tells.

    Within the examples such an answer stays, and has no weight.
    """
    household = {label: rng.choice(OWNER_NAMES) for label in THINGS}
    known: dict[str, str] = {}
    told: list[Turn] = []
    for index, turn in enumerate(turns):
        own = index == len(turns) - 1
        question = turn.question
        if question.kind == "owner":
            key, truth = question.subject, household[question.subject]
        elif question.kind == "room":
            key, truth = "room", question.answer
        else:
            told.append(turn if own else replace(turn, weight=EXAMPLE_WEIGHT))
            continue
        answer = known.get(key, UNKNOWN) if own else truth
        recalled = EXAMPLE_WEIGHT if key in known and key != "room" else 0.0
        weight = 1.0 if own else recalled
        known[key] = truth
        told.append(replace(turn, question=replace(question, answer=answer), weight=weight))
    return told


def blemished(scene: Scene, rng: Random, blemishes: Blemishes) -> tuple[str, tuple[str, ...]]:
    """Return caption and tags as imperfect models may give them."""
    draw = rng.random()
    if draw < blemishes.absent:
        caption, labels = seen(scene)
        return rng.choice((("", labels), (caption, ()), ("", ())))
    if draw >= blemishes.absent + blemishes.wrong:
        return seen(scene)
    if rng.random() < 0.5:
        return canonical_caption(_misread(scene, rng)), seen(scene)[1]
    return canonical_caption(scene), _mistagged(seen(scene)[1], rng)


def _misread(scene: Scene, rng: Random) -> Scene:
    if scene.things and rng.random() < 0.5:
        things = list(scene.things)
        index = rng.randrange(len(things))
        if rng.random() < 0.4:
            del things[index]
        else:
            things[index] = replace(things[index], colour=rng.choice(COLOURS))
        return replace(scene, things=tuple(things))
    people = list(scene.people)
    index = rng.randrange(len(people))
    people[index] = _misread_person(people[index], rng)
    return replace(scene, people=tuple(people))


def _misread_person(person: Person, rng: Random) -> Person:
    misread = {
        "hair": lambda: replace(person, hair=rng.choice(HAIR_COLOURS)),
        "shirt": lambda: replace(person, shirt=rng.choice(COLOURS)),
        "glasses": lambda: replace(person, glasses=not person.glasses),
        "hat": lambda: replace(person, hat=rng.choice((None, *COLOURS))),
        "hand": lambda: replace(person, hand_raised=not person.hand_raised),
    }
    return misread[rng.choice(tuple(misread))]()


def _mistagged(labels: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    changed = list(labels)
    if rng.random() < 0.6:
        del changed[rng.randrange(len(changed))]
    else:
        changed.insert(rng.randrange(len(changed) + 1), rng.choice(THINGS))
    return tuple(changed)


def vocabulary() -> list[str]:
    """Return texts with every word of a prompt, for the tokenizer."""
    pool_words = "on the left, in the middle, right, a person with hair in shirt; shirt. hand."
    return [
        INSTRUCTION,
        "Context: there is a hat hat. and glasses glasses. raising a hand.\nTags: person, person"
        "\nQuestion: how",
        pool_words,
        " ".join(ROOMS),
        *question_vocabulary(),
        *(f"a {thing}. {thing}, {thing}\n" for thing in THINGS),
        *(f"{number} {number}?" for number in NUMBERS),
        *(f"{colour} hair {colour} shirt, {colour} hat;" for colour in (*COLOURS, *HAIR_COLOURS)),
    ]

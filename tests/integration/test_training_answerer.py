from random import Random

import pytest
import torch
from tokenizers import Tokenizer

from training.answer_model import LENGTH_STEP, answer_tokenizer, look_loss, padded
from training.answerer import TOKENS_A_STEP, batches, one_scene
from training.attention_targets import HEADS, NOWHERE, PREVIOUS
from training.conversations import Conversation, Pool, Turn, few_shot, seen
from training.encoding import Encoded, encode
from training.questions import KINDS, Question
from training.scenes import Person, Scene, Thing


def person(hair: str, shirt: str, left: float, hat: str | None) -> Person:
    """Return one with short hair, without glasses, who raises no hand."""
    box = (left, 180.0, left + 200, 470.0)
    return Person(hair, "short", "tan", shirt, False, hat, False, box)


SCENE = Scene(
    seed=0,
    split="train",
    room="kitchen",
    people=(
        person("black", "red", 20.0, "blue"),
        person("gray", "green", 400.0, None),
    ),
    things=(
        Thing("mug", "green", (230.0, 20.0, 350.0, 140.0)),
        Thing("cat", "black", (300.0, 200.0, 390.0, 300.0)),
    ),
)
"""Tags: person, mug, cat, person."""

CASES = [
    (("thing_colour", "what colour is the mug?", "green", "mug"), "answer", [" green mug"]),
    (("hat_colour", "which colour is the hat?", "blue", "hat"), "answer", [" blue hat"]),
    (
        (
            "hair_colour",
            "what colour is the hair of the person in the green shirt?",
            "gray",
            "green",
        ),
        "answer",
        [" green shirt"],
    ),
    (
        ("who_wears", "who has gray hair?", "the person on the right", "has gray hair"),
        "answer",
        [" gray hair"],
    ),
    (
        ("beside", "what is directly to the right of the mug?", "cat", "mug"),
        "after",
        [", cat"],
    ),
    (
        ("beside", "what is directly to the left of the mug?", "person", "mug"),
        "answer",
        [", mug"],
    ),
    (("presence", "is there a clock?", "no", "clock"), "answer", [NOWHERE]),
    (("presence", "is there a cat?", "yes", "cat"), "answer", [", cat"]),
    (("knowledge", "what here is alive?", "cat", "is alive"), "answer", [", cat"]),
    (
        ("missing", "which of these is missing: cat, clock, mug?", "clock", "clock"),
        "answer",
        [", clock"],
    ),
    (("side", "is the mug to the left of the cat?", "yes", "mug"), "order", [", cat"]),
    (("side", "is the cat to the left of the mug?", "no", "cat"), "order", [NOWHERE]),
    (
        ("count_people", "how many people do you see?", "two", "people"),
        "count",
        [NOWHERE, ": person", ", person"],
    ),
    (("count_wearing", "how many people wear glasses?", "none", "glasses"), "count", [NOWHERE]),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return answer_tokenizer().backend_tokenizer


def ask_about(scene: Scene, question: Question) -> Conversation:
    return [Turn(*seen(scene), question)]


def looked_at(tokenizer: Tokenizer, encoded: Encoded, head: str) -> list[object]:
    """The last words that the head is shown, each with the word before it."""
    on = [look.on for look in encoded.looks if look.head == head][-1]
    ids = encoded.ids
    return [at if at == NOWHERE else tokenizer.decode(ids[at - 1 : at + 1]) for at in on]


@pytest.mark.parametrize(("question", "head", "words"), CASES, ids=[case[0][1] for case in CASES])
def test_a_head_is_shown_the_word_that_holds_the_answer(
    tokenizer: Tokenizer, question: tuple[str, str, str, str], head: str, words: list[object]
) -> None:
    encoded = encode(tokenizer, ask_about(SCENE, Question(*question)))
    assert looked_at(tokenizer, encoded, head) == words


def test_an_owner_is_looked_for_in_the_last_example_that_tells(tokenizer: Tokenizer) -> None:
    def owner(name: str) -> Turn:
        return Turn(*seen(SCENE), Question("owner", "whose mug is this?", name, "mug"))

    told = encode(tokenizer, [owner("anna"), owner("emma"), owner("emma")])
    look = [look for look in told.looks if look.head == "answer"][-1]
    assert tokenizer.decode([told.ids[at] for at in look.on]).strip() == "emma"
    assert told.ids[look.on[0] - 1] == told.ids[look.at]
    assert look.on[0] < look.at
    untold = encode(tokenizer, [owner("unknown")])
    assert looked_at(tokenizer, untold, "answer") == [NOWHERE]


def test_every_look_is_backwards_and_inside_the_text(tokenizer: Tokenizer) -> None:
    rng = Random(3)
    pool = Pool.of(range(60), "train", rng)
    talks = [few_shot(pool, kind, 3, rng) for kind in KINDS] + [one_scene(rng) for _ in range(5)]
    heads = set()
    for talk in talks:
        encoded = encode(tokenizer, talk)
        assert len(encoded.ids) == len(encoded.weights)
        for look in encoded.looks:
            heads.add(look.head)
            assert look.on
            assert all(0 <= on < look.at < len(encoded.ids) for on in look.on)
    assert heads == set(HEADS)


def test_the_text_is_what_the_chat_template_gives(tokenizer: Tokenizer) -> None:
    fast = answer_tokenizer()
    turn = ask_about(SCENE, Question("thing_colour", "what colour is the mug?", "green", "mug"))
    encoded = encode(tokenizer, turn)
    messages = [
        {"role": "system", "content": "Answer the question about the photo in a few words."},
        {"role": "user", "content": turn[0].user},
        {"role": "assistant", "content": "green"},
    ]
    assert fast.apply_chat_template(messages, return_dict=False) == encoded.ids
    counted = [i for i, weight in zip(encoded.ids, encoded.weights, strict=True) if weight == 1]
    assert fast.decode(counted) == " green<|end|>"


def test_looking_where_shown_costs_least(tokenizer: Tokenizer) -> None:
    question = Question("count_people", "how many people do you see?", "two", "people")
    batch = padded([encode(tokenizer, ask_about(SCENE, question))])
    length = batch.ids.shape[1]
    even = torch.full((1, 4, length, length), 1 / length)
    shown = [even.clone() for _ in range(6)]
    for head, (rows, at, on, share) in batch.looks.items():
        layer, number = HEADS[head]
        shown[layer][rows, number, at] = 0
        shown[layer][rows, number, at, on] = share
    layer, number = PREVIOUS
    shown[layer][0, number] = torch.eye(length).roll(-1, 1)
    before = [even.clone() for _ in range(6)]
    before[layer][0, number, torch.arange(1, length), torch.arange(length - 1)] = 1
    assert look_loss(before, batch) < look_loss([even] * 6, batch)
    assert look_loss(shown, batch) < look_loss([even] * 6, batch)


def test_batches_hold_all_conversations_within_the_limit(tokenizer: Tokenizer) -> None:
    rng = Random(5)
    pool = Pool.of(range(60), "train", rng)
    talks = [few_shot(pool, kind, rng.choice((0, 4)), rng) for kind in KINDS] * 3
    made = list(batches([encode(tokenizer, talk) for talk in talks], rng))
    assert sum(len(batch.ids) for batch in made) == len(talks)
    assert len(made) > 1
    for batch in made:
        assert batch.ids.numel() <= TOKENS_A_STEP or len(batch.ids) == 1
        assert batch.ids.shape[1] % LENGTH_STEP == 0

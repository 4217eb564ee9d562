from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.assembler import Assembler, assemble, describe
from deployments.messages import Call, Example, Prompt
from deployments.settings import AssemblerSettings

CAPTION = "the user's own photo"
QUESTION = "the user's own question?"
TAGS = ("person", "clock", "mug", "person")

words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
examples = st.lists(
    st.builds(
        Example,
        id=st.uuids().map(str),
        caption=words,
        tags=st.lists(words, max_size=4).map(tuple),
        question=words,
        answer=words,
    ),
    max_size=12,
)
some_settings = st.builds(
    AssemblerSettings,
    form=st.sampled_from(["chat", "completion"]),
    token_budget=st.integers(64, 600),
    bytes_per_token=st.floats(0.5, 8),
)


def solved(n: int) -> list[Example]:
    """Examples, most similar first."""
    return [
        Example(f"e{i}", f"photo {i}", ("cat",), f"what is {i}?", f"it is {i}") for i in range(n)
    ]


def prompt_of(settings: AssemblerSettings, shots: list[Example]) -> Prompt:
    return assemble(settings, caption=CAPTION, tags=TAGS, question=QUESTION, examples=shots)


def cost(settings: AssemblerSettings, text: str) -> float:
    return settings.tokens_per_message + len(text.encode()) / settings.bytes_per_token


def test_what_is_sent_ends_with_the_users_own_caption_and_question() -> None:
    prompt = prompt_of(AssemblerSettings(), solved(3))

    assert prompt.messages[-1].role == "user"
    assert prompt.messages[-1].content == (
        "Context: the user's own photo\n"
        "Tags: person, clock, mug, person\n"
        "Question: the user's own question?"
    )
    assert all(CAPTION not in message.content for message in prompt.messages[:-1])
    assert all(QUESTION not in message.content for message in prompt.messages[:-1])


def test_each_example_is_a_turn_of_its_own_and_the_most_similar_comes_last() -> None:
    prompt = prompt_of(AssemblerSettings(), solved(2))

    assert [(message.role, message.content) for message in prompt.messages[:-1]] == [
        ("system", "Answer the question about the photo in a few words."),
        ("user", "Context: photo 1\nTags: cat\nQuestion: what is 1?"),
        ("assistant", "it is 1"),
        ("user", "Context: photo 0\nTags: cat\nQuestion: what is 0?"),
        ("assistant", "it is 0"),
    ]
    assert prompt.examples_used == ("e1", "e0")


def test_the_completion_form_is_one_text_that_ends_where_the_answer_begins() -> None:
    prompt = prompt_of(AssemblerSettings(form="completion"), solved(2))

    (message,) = prompt.messages
    assert message.role == "user"
    assert message.content.endswith(
        "Context: the user's own photo\nTags: person, clock, mug, person\n"
        "Question: the user's own question?\nAnswer:"
    )
    assert message.content.index("Answer: it is 1\n\n") < message.content.index(
        "Answer: it is 0\n\n"
    )


@pytest.mark.parametrize(
    ("caption", "tags", "text"),
    [
        ("a room", (), "Context: a room\nQuestion: who?"),
        ("", ("cat",), "Tags: cat\nQuestion: who?"),
        ("", (), "Question: who?"),
    ],
)
def test_what_a_stage_could_not_say_leaves_no_empty_line(
    caption: str, tags: tuple[str, ...], text: str
) -> None:
    assert describe(caption, tags, "who?") == text


def test_over_the_budget_the_least_similar_examples_go_first() -> None:
    whole = prompt_of(AssemblerSettings(token_budget=3000), solved(9))
    cut = prompt_of(AssemblerSettings(token_budget=250), solved(9))

    assert whole.examples_used == tuple(f"e{i}" for i in range(8, -1, -1))
    assert 0 < len(cut.examples_used) < 9
    assert cut.examples_used == whole.examples_used[-len(cut.examples_used) :]


def test_an_example_that_does_not_fit_is_not_replaced_by_a_less_similar_one() -> None:
    long = Example("long", "x" * 9000, (), "what?", "this")

    prompt = prompt_of(AssemblerSettings(), [solved(1)[0], long, *solved(3)[1:]])

    assert prompt.examples_used == ("e0",)


def test_a_question_longer_than_the_budget_is_still_asked_alone() -> None:
    prompt = assemble(
        AssemblerSettings(token_budget=64),
        caption=CAPTION,
        tags=TAGS,
        question="why?" * 500,
        examples=solved(4),
    )

    assert prompt.examples_used == ()
    assert prompt.messages[-1].content.endswith("why?" * 500)


@given(settings=some_settings, shots=examples, caption=words, question=words)
def test_for_any_input_the_users_own_words_come_last_and_the_budget_holds(
    settings: AssemblerSettings, shots: list[Example], caption: str, question: str
) -> None:
    own = describe(caption, TAGS, question)

    prompt = assemble(settings, caption=caption, tags=TAGS, question=question, examples=shots)

    ids = [example.id for example in shots]
    assert list(prompt.examples_used) == ids[: len(prompt.examples_used)][::-1]
    last = prompt.messages[-1]
    assert last.role == "user"
    assert last.content.endswith(own if settings.form == "chat" else f"{own}\nAnswer:")
    if prompt.examples_used and settings.form == "chat":
        spent = sum(cost(settings, m.content) for m in prompt.messages)
        assert spent <= settings.token_budget


@given(shots=examples)
def test_chat_roles_always_alternate(shots: list[Example]) -> None:
    prompt = prompt_of(AssemblerSettings(), shots)

    roles = [message.role for message in prompt.messages]
    assert roles[0] == "system"
    assert all(one != other for one, other in pairwise(roles))


@given(settings=some_settings, shots=examples, more=st.integers(0, 500))
def test_a_larger_budget_never_drops_an_example(
    settings: AssemblerSettings, shots: list[Example], more: int
) -> None:
    larger = settings.model_copy(update={"token_budget": settings.token_budget + more})

    used = prompt_of(settings, shots).examples_used
    assert prompt_of(larger, shots).examples_used[-len(used) or None :][: len(used)] == used


async def test_the_stage_gives_what_the_function_gives() -> None:
    settings = AssemblerSettings(form="completion")

    prompt = await Assembler(settings).assemble(CAPTION, TAGS, QUESTION, solved(2), Call("r1", 5))

    assert prompt == prompt_of(settings, solved(2))

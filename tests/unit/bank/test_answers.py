import pytest

from bank.answers import most_common_answer, normalise_answer


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Red top.", "red top"),
        ("two", "2"),
        ("Don't!", "dont"),
        ("a man's hat", "mans hat"),
        ("salt-and-pepper", "salt and pepper"),
    ],
)
def test_answers_are_compared_without_case_articles_and_punctuation(text: str, normal: str) -> None:
    assert normalise_answer(text) == normal


def test_the_answer_with_most_votes_is_taken() -> None:
    assert most_common_answer({"racing": 2, "motocross": 5, "riding": 3}) == "motocross"


def test_of_answers_with_as_many_votes_the_one_that_others_wrote_differently_is_taken() -> None:
    assert most_common_answer({"cat": 3, "dog": 3, "A dog.": 1}) == "dog"
    assert most_common_answer({"cat": 3, "dog": 3}) == "cat"

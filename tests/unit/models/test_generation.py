import json
from pathlib import Path

import numpy as np
import pytest

from models.generation import Ids, Scores
from models.generation.beams import beam_search
from models.generation.greedy import greedy
from models.generation.rules import Rules, read_rules

END = 0


class Story:
    """A decoder whose next scores depend on all that a row has read."""

    def __init__(
        self, probabilities: dict[tuple[int, ...], dict[int, float]], rows: int = 1
    ) -> None:
        self._probabilities = probabilities
        self._read: list[tuple[int, ...]] = [()] * rows
        self.rows_per_step: list[int] = []

    def first(self) -> Scores:
        return self._scores()

    def __call__(self, tokens: Ids, parents: Ids) -> Scores:
        self._read = [
            (*self._read[parent], int(token)) for token, parent in zip(tokens, parents, strict=True)
        ]
        self.rows_per_step.append(len(tokens))
        return self._scores()

    def _scores(self) -> Scores:
        scores = np.full((len(self._read), 8), -30.0, np.float32)
        for row, read in enumerate(self._read):
            for token, probability in self._probabilities.get(read, {END: 1.0}).items():
                scores[row, token] = np.log(probability)
        return scores


# Greedy takes 1 first (0.6) and reaches 0.6 * 0.4 = 0.24; the likeliest text starts with 2.
GARDEN_PATH = {
    (): {1: 0.6, 2: 0.4},
    (1,): {3: 0.4, 4: 0.3, 5: 0.3},
    (2,): {6: 0.9, 3: 0.1},
}


def test_greedy_search_takes_the_likeliest_token_each_time() -> None:
    story = Story(GARDEN_PATH)
    written = greedy(story.first(), story, Rules((END,)), max_new_tokens=10)
    assert written == [[1, 3, END]]


def test_greedy_search_stops_at_the_most_new_tokens_and_runs_the_decoder_no_further() -> None:
    story = Story(GARDEN_PATH)
    written = greedy(story.first(), story, Rules((END,)), max_new_tokens=2)
    assert written == [[1, 3]]
    assert len(story.rows_per_step) == 1


def test_greedy_search_returns_nothing_of_a_row_after_its_own_end() -> None:
    story = Story({(): {END: 1.0}}, rows=2)
    first = story.first()
    first[1] = -30
    first[1, 5] = 0
    written = greedy(first, story, Rules((END,)), max_new_tokens=5)
    assert written == [[END], [5, END]]


def test_any_of_several_end_tokens_ends_a_row() -> None:
    story = Story({(): {1: 1.0}, (1,): {7: 1.0}})
    assert greedy(story.first(), story, Rules((END, 7)), max_new_tokens=9) == [[1, 7]]


@pytest.mark.parametrize("num_beams", [2, 3, 5])
def test_beam_search_finds_the_likelier_text_that_greedy_search_misses(num_beams: int) -> None:
    story = Story(GARDEN_PATH)
    written = beam_search(
        story.first(), story, Rules((END,)), num_beams=num_beams, max_new_tokens=10
    )
    assert written == [[2, 6, END]]


def test_beam_search_reads_the_first_token_once_for_each_input_and_then_every_beam() -> None:
    story = Story(GARDEN_PATH, rows=3)
    written = beam_search(story.first(), story, Rules((END,)), num_beams=4, max_new_tokens=10)
    assert written == [[2, 6, END]] * 3
    assert set(story.rows_per_step) == {12}


# Two texts: (1, end) with 0.5 * 0.5 = 0.25, and (2, 3, 4, end) with 0.5 * 0.4 = 0.2.
SHORT_OR_LONG = {
    (): {1: 0.5, 2: 0.5},
    (1,): {END: 0.5, 5: 0.5},
    (1, 5): {6: 0.1, 7: 0.1, 3: 0.1},
    (2,): {3: 0.4, 6: 0.3, 7: 0.3},
    (2, 3): {4: 1.0},
    (2, 3, 4): {END: 1.0},
}


@pytest.mark.parametrize(("length_penalty", "expected"), [(0.0, [1, END]), (2.0, [2, 3, 4, END])])
def test_the_length_penalty_decides_between_a_short_and_a_long_text(
    length_penalty: float, expected: list[int]
) -> None:
    story = Story(SHORT_OR_LONG)
    rules = Rules((END,), length_penalty=length_penalty, early_stopping="never")
    written = beam_search(story.first(), story, rules, num_beams=3, max_new_tokens=10)
    assert written == [expected]


def test_early_stopping_ends_the_search_as_soon_as_every_beam_has_a_text() -> None:
    steps = {}
    for early_stopping in (True, "never"):
        story = Story(SHORT_OR_LONG | {(1,): {END: 0.9, 5: 0.1}, (2,): {END: 0.8, 3: 0.2}})
        rules = Rules((END,), length_penalty=5.0, early_stopping=early_stopping)
        written = beam_search(story.first(), story, rules, num_beams=2, max_new_tokens=4)
        steps[early_stopping] = (written, len(story.rows_per_step))
    assert steps[True] == ([[1, END]], 1)
    assert steps["never"] == ([[2, 3, 4, END]], 3)


def test_a_text_that_never_ends_is_returned_at_the_most_new_tokens() -> None:
    story = Story({(): {1: 1.0}, (1,): {2: 1.0}, (1, 2): {3: 1.0}})
    assert beam_search(story.first(), story, Rules((7,)), num_beams=2, max_new_tokens=3) == [
        [1, 2, 3]
    ]


@pytest.mark.parametrize("num_beams", [1, 2])
def test_forced_tokens_come_first_and_last_whatever_the_scores(num_beams: int) -> None:
    story = Story(GARDEN_PATH)
    rules = Rules((END,), forced_bos_token_id=2, forced_eos_token_id=END)
    if num_beams == 1:
        written = greedy(story.first(), story, rules, max_new_tokens=2)
    else:
        written = beam_search(story.first(), story, rules, num_beams=2, max_new_tokens=2)
    assert written == [[2, END]]


def test_a_repetition_penalty_lowers_what_prompt_and_answer_have_said() -> None:
    scores = np.array([[4.0, 3.0, 2.9, -1.0]] * 2, np.float32)
    rules = Rules((), repetition_penalty=2.0)
    written = greedy(
        scores, lambda *_: scores, rules, max_new_tokens=3, prompts=[[0, 0, 3], [3, 2, 3]]
    )
    assert written == [[1, 2, 0], [0, 1, 0]]
    lowered = rules.penalised(scores, [[0, 3], []])
    assert lowered.tolist()[0] == pytest.approx([2.0, 3.0, 2.9, -2.0])
    assert lowered[1].tolist() == scores[1].tolist()


def test_a_repetition_penalty_is_refused_where_the_search_has_none(tmp_path: Path) -> None:
    own = {"eos_token_id": 3, "repetition_penalty": 1.1}
    (tmp_path / "generation_config.json").write_text(json.dumps(own))
    rules = read_rules(tmp_path, supports={"repetition_penalty"})
    assert rules == Rules((3,), repetition_penalty=1.1)
    with pytest.raises(ValueError, match="repetition_penalty"):
        read_rules(tmp_path)


def test_rules_of_an_old_checkpoint_come_from_config_json_and_its_decoder(tmp_path: Path) -> None:
    config = {
        "eos_token_id": None,
        "decoder_start_token_id": 5,
        "decoder": {"eos_token_id": 9, "decoder_start_token_id": 1, "length_penalty": 0.0},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_rules(tmp_path) == Rules((9,), decoder_start_token_id=5, length_penalty=0.0)


def test_generation_config_json_goes_before_config_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 9}))
    own = {"eos_token_id": [3, 4], "bos_token_id": 1, "early_stopping": True}
    (tmp_path / "generation_config.json").write_text(json.dumps(own))
    assert read_rules(tmp_path) == Rules((3, 4), decoder_start_token_id=1, early_stopping=True)


def test_a_generation_setting_that_would_change_the_ids_is_refused_by_name(tmp_path: Path) -> None:
    own = {"eos_token_id": 3, "no_repeat_ngram_size": 2}
    (tmp_path / "generation_config.json").write_text(json.dumps(own))
    with pytest.raises(ValueError, match="no_repeat_ngram_size"):
        read_rules(tmp_path)

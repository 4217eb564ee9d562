"""From small hand-made network outputs to boxes."""

import numpy as np
import pytest

from models.tagging.boxes import Found, boxes_of_sigmoid, boxes_of_softmax, without_duplicates
from models.tagging.panoptic import segments

WHOLE = [0.5, 0.5, 1.0, 1.0]
LEFT = [0.25, 0.5, 0.5, 1.0]


def test_a_query_may_hold_two_labels_where_scores_are_sigmoids() -> None:
    logits = np.array([[4.0, 3.0, -9.0], [-9.0, -9.0, -9.0], [-9.0, -9.0, 2.0]])
    boxes = np.array([LEFT, WHOLE, WHOLE])
    found = boxes_of_sigmoid(logits, boxes, size=(10, 20), score_threshold=0.5)
    assert [one.label for one in found] == [0, 1, 2]
    assert [one.box for one in found] == [(0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 20, 10)]
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-4)))


def test_no_more_is_found_than_there_are_queries() -> None:
    logits = np.full((2, 5), 3.0)
    found = boxes_of_sigmoid(logits, np.array([WHOLE, LEFT]), size=(4, 4), score_threshold=0.1)
    assert len(found) == 2


def test_nothing_here_wins_over_a_label_where_scores_are_softmaxes() -> None:
    logits = np.array([[5.0, 0.0, 9.0], [5.0, 0.0, 0.0]])
    boxes = np.array([WHOLE, LEFT])
    (found,) = boxes_of_softmax(logits, boxes, size=(10, 20), score_threshold=0.5)
    assert (found.label, found.box) == (0, (0, 0, 10, 10))


def test_boxes_end_at_the_border_and_empty_ones_are_dropped() -> None:
    logits = np.array([[9.0], [9.0]])
    boxes = np.array([[0.9, 0.1, 0.4, 0.4], [1.5, 0.5, 0.2, 0.2]])
    (found,) = boxes_of_sigmoid(logits, boxes, size=(100, 100), score_threshold=0.5)
    assert found.box == pytest.approx((70, 0, 100, 30))


def test_the_surer_of_two_boxes_on_one_thing_is_kept() -> None:
    sure, twice = Found(1, 0.9, (0, 0, 10, 10)), Found(1, 0.8, (0, 0, 10, 9))
    other, apart = Found(2, 0.7, (0, 0, 10, 10)), Found(1, 0.6, (5, 0, 15, 10))
    assert without_duplicates([sure, twice, other, apart]) == [sure, other, apart]


def masks(*rows: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """One mask of height 1 for each row, with logits 9 where it says 1 and else -9."""
    return np.array([[[9.0 if pixel else -9.0 for pixel in row]] for row in rows])


def scores(*labels: int, classes: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Logits sure of the given labels."""
    return np.eye(classes)[list(labels)] * 12


def test_a_segment_is_boxed_around_the_pixels_that_it_won() -> None:
    found = segments(
        scores(0, 1),
        masks([1, 1, 0, 0], [0, 0, 1, 1]),
        size=(1, 4),
        score_threshold=0.5,
    )
    assert [(one.label, one.box) for one in found] == [(0, (0, 0, 2, 1)), (1, (2, 0, 4, 1))]


def test_a_segment_is_dropped_where_others_won_most_of_it() -> None:
    logits = scores(0, 1)
    logits[1] /= 4  # less sure, so the first wins what they share
    overlapping = masks([1, 1, 1, 0], [1, 1, 1, 1])
    found = segments(logits, overlapping, size=(1, 4), score_threshold=0.5)
    assert [one.label for one in found] == [0]


def test_stuff_is_one_segment_and_things_are_counted() -> None:
    logits, parts = (
        scores(0, 1, 0, 2),
        masks([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]),
    )
    things = segments(logits, parts, size=(1, 4), score_threshold=0.5)
    assert [one.label for one in things] == [0, 1, 0, 2]
    joined = segments(logits, parts, size=(1, 4), score_threshold=0.5, stuff={0})
    assert [(one.label, one.box) for one in joined] == [
        (0, (0, 0, 3, 1)),
        (1, (1, 0, 2, 1)),
        (2, (3, 0, 4, 1)),
    ]


def test_queries_that_see_nothing_leave_no_segment() -> None:
    assert segments(scores(3, 3), masks([1, 1], [1, 1]), size=(1, 2), score_threshold=0.1) == []


def test_masks_grow_to_the_photo_and_the_strongest_takes_each_pixel() -> None:
    both = masks([1, 1, 0, 0], [0, 0, 1, 1])
    found = segments(scores(0, 1), both, size=(10, 40), score_threshold=0.5)
    assert [one.box for one in found] == [(0, 0, 20, 10), (20, 0, 40, 10)]


def test_the_least_unlikely_mask_takes_a_pixel_that_none_wants() -> None:
    both = np.array([[[9.0, -40.0, -9.0]], [[-9.0, -30.0, 9.0]]])
    found = segments(scores(0, 1), both, size=(1, 3), score_threshold=0.5)
    assert [one.box for one in found] == [(0, 0, 1, 1), (1, 0, 3, 1)]

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import (
    AutoTokenizer,
    CLIPImageProcessor,
    PreTrainedTokenizerFast,
    ViTImageProcessor,
)

from training.caption_model import LONGEST_CAPTION, Lesson, caption_tokenizer, dense_truth
from training.caption_quality import attribute_scores, facts
from training.clip import assert_every_word_counts, recall
from training.clip_model import (
    Teacher,
    clip_tokenizer,
    equal_key_loss,
    question_key,
    sample_caption,
)
from training.drawing import draw_jpeg
from training.patches import IGNORED, SHOWN, TARGETS, patch_truth, spoken_of
from training.photos import normalised, processor_config, resized
from training.progress import Average, Learner, Run, warm_then_cosine
from training.questions import Question
from training.scenes import Person, Scene, Thing, canonical_caption, mirrored, sample_scene
from training.tokenizer import EOS_ID, UNK_ID, save_tokenizer, train_tokenizer

DIGITS = str.maketrans("0123456789", "qwertyuiop")
TEXTS = ["a person with black hair in a red shirt.", "Context: x\nTags: a mug, a cat"]


def person(x: float, **looks: object) -> Person:
    plain = {"hair": "black", "hair_style": "short", "skin": "tan", "shirt": "red"}
    worn = {"glasses": False, "hat": None, "hand_raised": False}
    return Person(**{**plain, **worn, **looks}, box=(x, 180.0, x + 200, 470.0))  # type: ignore[arg-type]


SCENE = Scene(
    seed=0,
    split="train",
    room="kitchen",
    people=(person(20.0, hat="blue"), person(400.0, glasses=True, hair="gray")),
    things=(Thing("mug", "green", (230.0, 20.0, 350.0, 140.0)),),
)


def test_both_libraries_read_the_saved_tokenizer_alike(tmp_path: Path) -> None:
    save_tokenizer(train_tokenizer(TEXTS, extra_special_tokens=["<|user|>"], wrap=True), tmp_path)
    fast, plain = (
        AutoTokenizer.from_pretrained(tmp_path),
        Tokenizer.from_file(str(tmp_path / "tokenizer.json")),
    )
    for text in [*TEXTS, "<|user|>A red Mug zebra\u00e9 \u732b?", ""]:
        assert fast(text).input_ids == plain.encode(text).ids
        assert UNK_ID not in fast(text).input_ids


def test_a_word_at_the_start_is_the_token_it_is_inside_a_text() -> None:
    tokenizer = train_tokenizer(TEXTS)
    assert tokenizer("red").input_ids == tokenizer("a red").input_ids[1:]
    assert len(tokenizer("a person\ntags: a mug").input_ids) == 7


def test_end_of_text_is_not_the_id_that_makes_clip_pool_elsewhere() -> None:
    assert train_tokenizer(TEXTS).eos_token_id == EOS_ID != 2


def test_a_vocabulary_that_would_split_words_is_refused() -> None:
    words = " ".join(f"{n:04d}".translate(DIGITS) for n in range(1000))
    with pytest.raises(ValueError, match="no single token"):
        train_tokenizer([words])


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return caption_tokenizer()


def test_every_caption_fits_the_captioner(tokenizer: PreTrainedTokenizerFast) -> None:
    for split in ("train", "test"):
        scenes = [sample_scene(seed, split) for seed in range(400)]
        ids = tokenizer([canonical_caption(scene) for scene in scenes])["input_ids"]
        assert max(map(len, ids)) < LONGEST_CAPTION
        assert str(tokenizer.decode(ids[0])).strip() == canonical_caption(scenes[0])


def test_a_patch_shows_what_covers_its_centre() -> None:
    truth = patch_truth(SCENE, 9, 12)
    shown = truth.targets[:, 0].reshape(9, 12)
    assert SHOWN[shown[1, 5]] == "mug"
    assert SHOWN[shown[0, 11]] == "nothing"
    assert SHOWN[shown[8, 2]] == "shirt"
    columns = dict(zip(TARGETS, truth.targets.reshape(9, 12, -1)[8, 2], strict=True))
    assert columns["hat"] == 4
    assert columns["person_place"] == 1
    assert columns["colour"] == IGNORED


def test_each_word_of_a_caption_speaks_of_what_it_names(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    words = tokenizer.tokenize(canonical_caption(SCENE))
    entities = dict(zip((word.strip("\u0120") for word in words), spoken_of(words), strict=True))
    assert entities["blue"] == 0
    assert entities["glasses"] == 1
    assert entities["mug"] == entities["green"] == 3
    assert entities["there"] == -1


def test_the_guided_head_looks_at_patches_of_the_subject(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    _, covers = dense_truth([SCENE])
    lesson = Lesson([SCENE], covers, tokenizer)
    assert lesson.labels[0, -1] == EOS_ID
    assert lesson.inputs[0, 1:].tolist() == lesson.labels[0, :-1].tolist()
    mug = lesson.labels[0].tolist().index(tokenizer(" mug").input_ids[0])
    assert np.array_equal(lesson.looked_at[0, mug].numpy() > 0, covers[0, 3])
    assert covers[0, 3].any()


def test_a_mirrored_photo_is_the_photo_of_the_mirrored_scene() -> None:
    rows, columns = 9, 12
    there = patch_truth(SCENE, rows, columns).targets[:, 0].reshape(rows, columns)
    flipped = patch_truth(mirrored(SCENE), rows, columns).targets[:, 0].reshape(rows, columns)
    assert np.array_equal(there[:, ::-1] == SHOWN.index("mug"), flipped == SHOWN.index("mug"))
    jpeg = draw_jpeg(SCENE, (320, 240))
    assert np.array_equal(resized(jpeg, (144, 192), flip=True), resized(jpeg, (144, 192))[:, ::-1])


@pytest.mark.parametrize(
    ("kind", "processor"),
    [("ViTImageProcessor", ViTImageProcessor), ("CLIPImageProcessor", CLIPImageProcessor)],
)
def test_the_saved_image_processor_does_what_training_did(
    kind: str, processor: type[ViTImageProcessor | CLIPImageProcessor], tmp_path: Path
) -> None:
    size = (144, 192)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor_config(kind, size)))
    jpeg = draw_jpeg(SCENE, (320, 240))
    (tmp_path / "photo.jpg").write_bytes(jpeg)
    photo = Image.open(tmp_path / "photo.jpg")
    pixels = processor.from_pretrained(tmp_path)(photo, return_tensors="np")["pixel_values"]
    difference = np.abs(pixels - normalised([resized(jpeg, size)]).numpy())
    assert float(difference.max()) <= 2 / 127.5


def test_a_perfect_caption_scores_one_in_every_family() -> None:
    caption = (
        "on the left, a person with gray hair in a red shirt with glasses and a blue hat raising "
        "a hand; on the right, a person with brown hair in a red shirt. there is a red mug."
    )
    scores = attribute_scores([(caption, caption)])
    assert scores
    assert all(score.precision == score.recall == 1 for score in scores.values())
    assert len(facts(caption)) == 10


def test_a_colour_on_the_wrong_person_is_neither_precise_nor_recalled() -> None:
    true = "on the left, a person with gray hair in a red shirt; on the right, a person with gray"
    said = true + " hair in a red shirt."
    true += " hair in a blue shirt."
    scores = attribute_scores([(said, true)])
    assert scores["shirt"].precision == scores["shirt"].recall == 0.5
    assert scores["hair"].recall == 1
    assert scores["glasses"].recall == 0


def test_ties_are_lost_in_recall() -> None:
    assert recall(torch.ones(4, 4), 1) == 0
    assert recall(torch.eye(4), 1) == 1


def test_a_text_tower_that_pools_elsewhere_is_noticed() -> None:
    torch.manual_seed(0)
    teacher = Teacher(clip_tokenizer())
    assert_every_word_counts(teacher)
    teacher.model.text_model.eos_token_id = 2
    with pytest.raises(RuntimeError, match="end-of-text"):
        assert_every_word_counts(teacher)


def test_vectors_with_one_key_should_be_close() -> None:
    near, far = torch.eye(4)[[0, 0, 1, 1]], torch.eye(4)[[0, 1, 0, 1]]
    keys = ["a", "a", "b", "b"]
    assert equal_key_loss(near, keys) < equal_key_loss(far, keys)
    assert equal_key_loss(near, list("abcd")) == 0


def test_questions_are_alike_when_only_their_words_differ() -> None:
    def beside(text: str) -> Question:
        return Question("beside", text, "mug", "clock")

    one = beside("what is directly to the right of the clock?")
    assert question_key(one) == question_key(
        beside("what stands directly to the right of the clock?")
    )
    assert question_key(one) != question_key(beside("what is directly to the left of the clock?"))


def test_captions_for_clip_name_the_room() -> None:
    random = Random(0)
    said = {sample_caption(SCENE, random) for _ in range(50)}
    assert any("a kitchen with" in text for text in said)
    assert not any("a room" in text for text in said)


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    run = Run(tmp_path, minutes=10)
    assert run.resume() is None
    run._trained_s = 300.0
    run.save({"step": 7})
    again = Run(tmp_path, minutes=10)
    state = again.resume()
    assert state is not None
    assert state["step"] == 7
    assert again.fraction == pytest.approx(0.5, abs=0.01)


def test_the_rate_warms_up_stays_and_falls() -> None:
    rates = [warm_then_cosine(*at, decay_from=0.5) for at in ((0, 10, 0.0), (99, 10, 0.5))]
    assert rates == [0.1, 1.0]
    assert warm_then_cosine(99, 10, 0.75, 0.5) == pytest.approx(0.5)
    assert warm_then_cosine(99, 10, 1.0, 0.5) == 0.02


def test_the_average_follows_the_weights() -> None:
    layer = torch.nn.Linear(1, 1, bias=False)
    average = Average(layer, decay=0.5)
    first = float(layer.weight.detach())
    with torch.no_grad():
        layer.weight.add_(1.0)
    for _ in range(60):
        average.update(layer)
    layer.weight.data.add_(1.0)
    with average.inside(layer):
        assert float(layer.weight.detach()) == pytest.approx(first + 1, abs=1e-3)
    assert float(layer.weight.detach()) == pytest.approx(first + 2)


def test_an_interrupted_learner_keeps_its_weights_and_its_step(tmp_path: Path) -> None:
    def learner(layer: torch.nn.Module) -> Learner:
        run = Run(tmp_path, minutes=10)
        rates = {"peak_rate": 0.1, "decay_from": 0.5, "average_decay": 0.9}
        return Learner(run, layer, warm_steps=1, **rates)

    first, second = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    before = float(first.weight.detach())
    learning = learner(first)
    learning.learn(first(torch.ones(1, 1)).sum())
    learning.save()
    assert float(first.weight.detach()) != before
    assert learner(second).step == 1
    assert torch.equal(first.weight, second.weight)

from models.chat.prompts import pad_left


def test_padding_is_masked_and_adds_no_token_that_the_prompt_has_not() -> None:
    ids, mask = pad_left([[5, 6, 7], [8]])
    assert ids.tolist() == [[5, 6, 7], [8, 8, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]

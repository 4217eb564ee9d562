"""CLIP: retrievers."""

from pathlib import Path

from training.checkpoints.files import write_json

START, END = "<|startoftext|>", "<|endoftext|>"
TEXTS = [
    "a photo of a cat",
    "What is   on the Table?",
    "naïve café №5, it's 12 o'clock!",
    " ".join(["two red clocks and a mug"] * 20),
    "",
]


def make_clip_base_patch16(folder: Path) -> None:
    """Write the configuration and files of openai/clip-vit-base-patch16 (150 million weights).

    `eos_token_id` 2 is what that repository says, and means that the text tower is read at the
    largest token id.
    """
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(2)
    config = CLIPConfig(
        text_config={"eos_token_id": 2, "bos_token_id": 0, "pad_token_id": 1},
        vision_config={"patch_size": 16},
        projection_dim=512,
    )
    model = CLIPModel(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1 and name.endswith("bias"):
                value.normal_(0, 0.1)
    model.save_pretrained(folder)
    write_json(
        folder / "preprocessor_config.json",
        {
            "crop_size": 224,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "size": 224,
        },
    )
    write_clip_words(folder, vocabulary_size=49408)


def write_clip_words(folder: Path, *, vocabulary_size: int) -> None:
    """Write vocab.json and merges.txt with few merges; start and end are the last two ids."""
    letters = list(_byte_letters())
    merges = [("c", "a"), ("ca", "t</w>"), ("r", "e"), ("re", "d</w>"), ("a", "n")]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m) for m in merges)]
    words += [f"unused{number}" for number in range(vocabulary_size - len(words) - 2)]
    words += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "vocab.json", {word: number for number, word in enumerate(words)})
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77},
    )


def _byte_letters() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())

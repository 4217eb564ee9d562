"""BLIP (`BlipForConditionalGeneration`): captioners.

config.json is of the year 2022: generation settings stand in its `text_config`. The tokenizer does
not know the first token of a caption, [DEC], which comes after all its words.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from training.checkpoints.files import write_json, write_word_pieces
from training.checkpoints.weights import sharpen
from training.export.parts import export_part

if TYPE_CHECKING:
    from transformers import BlipForConditionalGeneration


def make_small_blip(folder: Path) -> None:
    """Write a small checkpoint of the layout of Salesforce/blip-image-captioning-large.

    Its photos are wider than its texts, and it has model.safetensors.
    """
    from safetensors.torch import save_model

    small = {"num_hidden_layers": 2, "num_attention_heads": 4}
    model = _prepare(
        folder,
        text={"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 64, **small},
        vision={"hidden_size": 48, "intermediate_size": 96, "image_size": 64, **small},
        words=300,
    )
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    export_part("captioner", folder)


def make_production_blip(folder: Path) -> None:
    """Write Salesforce/blip-image-captioning-base with random weights: files, sizes and settings.

    That repository has pytorch_model.bin alone, with a buffer that transformers no longer keeps.
    """
    import torch

    base = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
    }
    text = {"max_position_embeddings": 512, **base}
    model = _prepare(folder, text=text, vision={"image_size": 384, **base}, words=30522)
    positions = {"text_decoder.bert.embeddings.position_ids": torch.arange(512)[None]}
    torch.save(model.state_dict() | positions, folder / "pytorch_model.bin")
    export_part("captioner", folder)


def _prepare(
    folder: Path, *, text: dict[str, int], vision: dict[str, int], words: int
) -> "BlipForConditionalGeneration":
    """Write all files but the weights, and return a model of them."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    ids = {"bos_token_id": words, "vocab_size": words + 2}
    write_json(
        folder / "config.json",
        {
            "architectures": ["BlipForConditionalGeneration"],
            "image_text_hidden_size": 256,
            "initializer_factor": 1.0,
            "logit_scale_init_value": 2.6592,
            "model_type": "blip",
            "projection_dim": 512,
            "text_config": _TEXT | _GENERATION | text | ids,
            "torch_dtype": "float32",
            "vision_config": _VISION | _GENERATION | vision,
        },
    )
    side = vision["image_size"]
    size = {"height": side, "width": side}
    write_json(folder / "preprocessor_config.json", _PREPROCESSOR | {"size": size})
    write_word_pieces(folder, words=words)
    config = BlipConfig.from_pretrained(folder)
    with torch.device("meta"):  # skips 240 million random numbers that sharpen would replace
        model = BlipForConditionalGeneration(config)
    model.to_empty(device="cpu").tie_weights()
    sharpen(model)
    _vary_texts(model, side)
    return model


def _vary_texts(model: "BlipForConditionalGeneration", side: int) -> None:
    """Let the next token follow from the last one and the photo, and from neither alone.

    The decoder normalises after each layer, which leaves of a token what its attention is weaker
    than; and what all states share would make a few tokens the likeliest everywhere.
    """
    import torch

    decoder = model.text_decoder
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if name.endswith("output.dense.weight"):
                weight.mul_(0.05 if "crossattention" in name else 0.1)
        positions = decoder.bert.embeddings.position_ids
        positions.copy_(torch.arange(positions.shape[1])[None])  # not there after to_empty
        photos = torch.rand(2, 3, side, side, generator=random)
        ids = torch.randint(decoder.config.vocab_size, (2, 24), generator=random)
        logits = model(pixel_values=photos, input_ids=ids).logits
        decoder.cls.predictions.bias.sub_(logits.mean((0, 1)))


_GENERATION = {
    "bad_words_ids": None,
    "diversity_penalty": 0.0,
    "do_sample": False,
    "early_stopping": False,
    "length_penalty": 1.0,
    "max_length": 20,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beams": 1,
    "repetition_penalty": 1.0,
}
_TEXT = {
    "attention_probs_dropout_prob": 0.0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "is_decoder": True,
    "layer_norm_eps": 1e-12,
    "model_type": "blip_text_model",
    "pad_token_id": 0,
    "projection_dim": 768,
    "sep_token_id": 102,
}
_VISION = {
    "attention_dropout": 0.0,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-05,
    "model_type": "blip_vision_model",
    "num_channels": 3,
    "patch_size": 16,
    "projection_dim": 512,
}
_PREPROCESSOR = {
    "do_normalize": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "BlipImageProcessor",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "processor_class": "BlipProcessor",
}

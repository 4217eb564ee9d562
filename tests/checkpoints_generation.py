"""Checkpoints with random weights for tests: captioners (ViT + GPT-2) and answerers (Llama).

Random weights of the usual size give nearly flat scores, where any rounding would decide.
`_sharpen` makes them large, so that the likeliest token is clear.
"""

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
)

from models.photos import Rgb
from training.export.parts import export_part

END = "<|endoftext|>"
_TEXT = [
    "a man riding a wave on top of a surfboard.",
    "two dogs are sitting on a couch, and one of them isn't asleep.",
    "a kitchen with a table ; it 's full of plates !",
    "Übergröße: naïve café №5 – 12,345.67 €",
]
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|{{ message['role'] }}|>\n{{ message['content'] | trim }}<|endoftext|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def photos(count: int, *, seed: int = 0) -> list[Rgb]:
    """Photos of different sizes, each a gradient of its own with noise."""
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        height, width = 40 + 7 * index, 60 + 11 * index
        ramp = np.linspace(0, 255, width)[None, :, None] * random.random(3)
        noise = random.integers(0, 60, (height, width, 3))
        made.append(np.clip(ramp + noise, 0, 255).astype(np.uint8))
    return made


def make_small_captioner(folder: Path) -> None:
    """A captioner of the demo bundle's layout: non-square photos, float16 weights, linked graphs.

    Encoder and decoder differ in width, so that `enc_to_dec_proj` is there.
    """
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        ViTConfig(
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=96,
            image_size=(48, 64),
            patch_size=16,
        ),
        GPT2Config(
            n_embd=32,
            n_layer=2,
            n_head=4,
            vocab_size=300,
            n_positions=64,
            bos_token_id=1,
            eos_token_id=3,
        ),
    )
    model = VisionEncoderDecoderModel(config)
    _sharpen(model)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=3, eos_token_id=3, pad_token_id=3
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    _write_tokenizer(folder, words=300, end_id=3)
    _write_json(
        folder / "preprocessor_config.json",
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 64}},
    )
    export_part("captioner", folder)


def make_production_captioner(folder: Path) -> None:
    """nlpconnect/vit-gpt2-image-captioning with random weights: its files, sizes and settings.

    That repository has pytorch_model.bin, GPT-2's own vocabulary files, preprocessing of the
    year 2022 and no generation_config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", _PRODUCTION_CONFIG)
    _write_json(
        folder / "preprocessor_config.json",
        {
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "ViTFeatureExtractor",
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "resample": 2,
            "size": 224,
        },
    )
    _write_tokenizer(folder, words=50257, end_id=50256)
    config = VisionEncoderDecoderConfig.from_pretrained(folder)
    with torch.device("meta"):  # skips 240 million random numbers that _sharpen would replace
        model = VisionEncoderDecoderModel(config)
    model.to_empty(device="cpu").tie_weights()
    _sharpen(model)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    export_part("captioner", folder)


def make_small_answerer(folder: Path) -> None:
    """A Llama with fewer key heads than query heads, float16 weights and a linked graph."""
    config = LlamaConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        vocab_size=320,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=3,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    _sharpen(model)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[3, 9], pad_token_id=0)
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    _write_tokenizer(folder, words=320, end_id=3)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    export_part("answerer", folder)


def _sharpen(model: PreTrainedModel) -> None:
    """Fill every weight from one block of random numbers, which is much faster than new ones."""
    block = torch.randn(1 << 21, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        for index, (name, weight) in enumerate(model.named_parameters()):
            values = block[7919 * index % 65536 :].repeat(weight.numel() // 1_500_000 + 1)
            weight.copy_(values[: weight.numel()].view(weight.shape))
            if weight.dim() == 1:
                weight.mul_(0.1).add_(1 if "norm" in name or "ln_" in name else 0)
            else:
                weight.mul_(_scale(name, weight))


def _scale(name: str, weight: torch.Tensor) -> float:
    """Large positions and cross-attention: the text changes from word to word and by photo."""
    if "wpe" in name or "wte" in name or "embed" in name:
        return 0.5
    size = 1.5 / min(weight.shape[0], weight.numel() // weight.shape[0]) ** 0.5
    return float(size * (2 if "crossattention" in name else 1))


def _write_tokenizer(folder: Path, *, words: int, end_id: int) -> None:
    """A byte-level BPE as GPT-2's, filled up with words that no text makes."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=290, initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    trained.train_from_iterator(_TEXT, trainer)
    trained.model.save(str(folder))
    vocabulary = trained.get_vocab()
    known = sorted(vocabulary, key=vocabulary.__getitem__)
    free = [index for index in range(words) if index != end_id]
    filler = [f"Ġfill{index}" for index in range(words - 1 - len(known))]
    vocabulary = dict(zip([*known, *filler], free, strict=True)) | {END: end_id}
    _write_json(folder / "vocab.json", vocabulary)
    merges = folder / "merges.txt"
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(folder / "tokenizer.json"))
    marks = dict.fromkeys(("bos_token", "eos_token", "unk_token", "pad_token"), END)
    _write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024, **marks},
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


_PRODUCTION_CONFIG = {
    "architectures": ["VisionEncoderDecoderModel"],
    "bos_token_id": 50256,
    "decoder": {
        "activation_function": "gelu_new",
        "add_cross_attention": True,
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": 50256,
        "decoder_start_token_id": 50256,
        "embd_pdrop": 0.1,
        "eos_token_id": 50256,
        "initializer_range": 0.02,
        "is_decoder": True,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": 768,
        "n_head": 12,
        "n_inner": None,
        "n_layer": 12,
        "n_positions": 1024,
        "pad_token_id": 50256,
        "reorder_and_upcast_attn": False,
        "resid_pdrop": 0.1,
        "scale_attn_by_inverse_layer_idx": False,
        "scale_attn_weights": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
        "use_cache": True,
        "vocab_size": 50257,
    },
    "decoder_start_token_id": 50256,
    "encoder": {
        "architectures": ["ViTModel"],
        "attention_probs_dropout_prob": 0.0,
        "encoder_stride": 16,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": 768,
        "image_size": 224,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "layer_norm_eps": 1e-12,
        "model_type": "vit",
        "num_attention_heads": 12,
        "num_channels": 3,
        "num_hidden_layers": 12,
        "patch_size": 16,
        "qkv_bias": True,
    },
    "eos_token_id": 50256,
    "is_encoder_decoder": True,
    "model_type": "vision-encoder-decoder",
    "pad_token_id": 50256,
    "tie_word_embeddings": False,
}

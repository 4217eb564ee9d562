"""ViT and GPT-2 (`VisionEncoderDecoderModel`): captioners."""

from pathlib import Path

from training.checkpoints.files import write_byte_bpe, write_json
from training.checkpoints.weights import sharpen
from training.export.parts import export_part


def make_small_captioner(folder: Path) -> None:
    """Write a captioner of the demo bundle's layout: oblong photos, float16, linked graphs.

    Encoder and decoder differ in width, so that `enc_to_dec_proj` is there.
    """
    from transformers import (
        GenerationConfig,
        GPT2Config,
        VisionEncoderDecoderConfig,
        VisionEncoderDecoderModel,
        ViTConfig,
    )

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
    sharpen(model)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=3, eos_token_id=3, pad_token_id=3
    )
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    write_byte_bpe(folder, words=300, end_id=3)
    write_json(
        folder / "preprocessor_config.json",
        {"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 64}},
    )
    export_part("captioner", folder)


def make_production_captioner(folder: Path) -> None:
    """Write nlpconnect/vit-gpt2-image-captioning with random weights: files, sizes and settings.

    That repository has pytorch_model.bin, GPT-2's own vocabulary files, preprocessing of the
    year 2022 and no generation_config.json.
    """
    import torch
    from transformers import VisionEncoderDecoderConfig, VisionEncoderDecoderModel

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", _PRODUCTION_CONFIG)
    write_json(
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
    write_byte_bpe(folder, words=50257, end_id=50256)
    config = VisionEncoderDecoderConfig.from_pretrained(folder)
    with torch.device("meta"):  # skips 240 million random numbers that sharpen would replace
        model = VisionEncoderDecoderModel(config)
    model.to_empty(device="cpu").tie_weights()
    sharpen(model)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    export_part("captioner", folder)


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

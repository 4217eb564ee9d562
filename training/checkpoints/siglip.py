"""SigLIP 2: retrievers."""

from pathlib import Path

from training.checkpoints.files import write_json
from training.checkpoints.tokenizers import write_sentencepiece

SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
_LAYERS = {
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_size": 96,
    "intermediate_size": 192,
    "layer_norm_eps": 1e-06,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "torch_dtype": "float32",
}


def make_small_siglip2(folder: Path) -> None:
    """Write the layout of google/siglip2-base-patch16-224 with Gemma's tokenizer and few weights.

    config.json leaves out what transformers has as a default: 64 tokens, photos of 224 pixels.
    """
    import torch
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(3)
    published = {
        "architectures": ["SiglipModel"],
        "initializer_factor": 1.0,
        "model_type": "siglip",
        "text_config": _LAYERS
        | {"model_type": "siglip_text_model", "projection_size": 96, "vocab_size": 352},
        "torch_dtype": "float32",
        "vision_config": _LAYERS | {"model_type": "siglip_vision_model", "patch_size": 16},
    }
    model = SiglipModel(SiglipConfig(**published))  # type: ignore[arg-type]
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1 and name.endswith("bias"):
                value.normal_(0, 0.1)
            elif "embedding" in name:
                value.normal_(0, 1)
    model.save_pretrained(folder)
    write_json(folder / "config.json", published)
    write_json(
        folder / "preprocessor_config.json",
        {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "SiglipImageProcessor",
            "image_std": [0.5, 0.5, 0.5],
            "processor_class": "SiglipProcessor",
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 224, "width": 224},
        },
    )
    write_siglip_words(folder)


def write_siglip_words(folder: Path) -> None:
    """Write a tokenizer in Gemma's layout that ends a text with <eos> and keeps its case."""
    write_sentencepiece(
        folder,
        specials=SPECIALS,
        template="$A <eos>",
        prefix="",
        config={
            "add_bos_token": False,
            "add_eos_token": True,
            "bos_token": "<bos>",
            "clean_up_tokenization_spaces": False,
            "eos_token": "<eos>",
            "mask_token": "<mask>",
            "model_input_names": ["input_ids"],
            "model_max_length": 64,
            "pad_token": "<pad>",
            "padding_side": "right",
            "processor_class": "SiglipProcessor",
            "tokenizer_class": "GemmaTokenizer",
            "unk_token": "<unk>",
        },
    )

"""Llama and what has its architecture: answerers with a chat template."""

from pathlib import Path
from typing import Any

from training.checkpoints.files import write_byte_bpe, write_json
from training.checkpoints.tokenizers import write_byte_level, write_sentencepiece
from training.checkpoints.weights import sharpen
from training.export.parts import export_part

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|{{ message['role'] }}|>\n{{ message['content'] | trim }}<|endoftext|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}


def make_small_answerer(folder: Path) -> None:
    """Write a Llama with fewer key heads than query heads, float16 weights and a linked graph."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

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
    sharpen(model)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=[3, 9], pad_token_id=0)
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder)
    write_byte_bpe(folder, words=320, end_id=3)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    export_part("answerer", folder)


def make_small_smollm2(folder: Path) -> None:
    """Write the layout of HuggingFaceTB/SmolLM2-360M-Instruct: bfloat16, digits one by one."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits

    folder.mkdir(parents=True, exist_ok=True)
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    template = (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nAnswer briefly.<|im_end|>\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    write_byte_level(
        folder,
        split=[Digits(individual_digits=True), ByteLevel(add_prefix_space=False)],
        specials=marks,
        config={
            "add_prefix_space": False,
            "additional_special_tokens": marks[1:],
            "bos_token": "<|im_start|>",
            "chat_template": template,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "model_max_length": 8192,
            "pad_token": "<|im_end|>",
            "tokenizer_class": "GPT2Tokenizer",
            "unk_token": "<|endoftext|>",
            "vocab_size": 320,
        },
    )
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    config = ends | {
        "is_llama_config": True,
        "rms_norm_eps": 1e-05,
        "rope_interleaved": False,
        "rope_scaling": None,
        "rope_theta": 100000,
        "tie_word_embeddings": True,
        "vocab_size": 320,
    }
    _write_model(folder, config, {"_from_model_config": True} | ends)


def make_small_tinyllama(folder: Path) -> None:
    """Write the layout of TinyLlama/TinyLlama-1.1B-Chat-v1.0: SentencePiece, an own lm_head."""
    folder.mkdir(parents=True, exist_ok=True)
    template = (
        "{% for message in messages %}\n"
        "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
        "{% endfor %}"
    )
    write_sentencepiece(
        folder,
        specials=["<unk>", "<s>", "</s>"],
        template="<s> $A",
        prefix="▁",
        config={
            "bos_token": "<s>",
            "chat_template": template,
            "clean_up_tokenization_spaces": False,
            "eos_token": "</s>",
            "legacy": False,
            "model_max_length": 2048,
            "pad_token": "</s>",
            "padding_side": "right",
            "sp_model_kwargs": {},
            "tokenizer_class": "LlamaTokenizer",
            "unk_token": "<unk>",
            "use_default_system_prompt": False,
        },
    )
    ends = {"bos_token_id": 1, "eos_token_id": 2}
    config = ends | {
        "attention_bias": False,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "vocab_size": 352,
    }
    _write_model(folder, config, ends | {"max_length": 2048, "pad_token_id": 0})


def _write_model(folder: Path, config: dict[str, Any], generation: dict[str, Any]) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    published = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"} | _SIZES | config
    published |= {"hidden_act": "silu", "initializer_range": 0.02, "torch_dtype": "bfloat16"}
    model = LlamaForCausalLM(LlamaConfig(**published))
    sharpen(model)
    model.bfloat16().save_pretrained(folder)
    write_json(folder / "config.json", published)
    write_json(folder / "generation_config.json", generation)
    export_part("answerer", folder)

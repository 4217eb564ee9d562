"""Qwen2.5 and Qwen3: answerers with ChatML turns (<|im_start|>role ... <|im_end|>)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.checkpoints.files import write_json
from training.checkpoints.tokenizers import write_byte_level
from training.checkpoints.weights import sharpen
from training.export.parts import export_part

if TYPE_CHECKING:
    from transformers import PreTrainedModel

END, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_TEMPLATE = """\
{%- if tools %}
    {{- raise_exception('no tools here') }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nAnswer briefly.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role != "system" or not loop.first and not message.tool_calls %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
_QWEN3_TEMPLATE = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(asked=-1) %}
{%- for message in messages[::-1] %}
    {%- if ns.asked < 0 and message.role == "user" and message.content is string %}
        {%- set ns.asked = messages|length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == "user" or message.role == "system" and not loop.first %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- if '</think>' in content and loop.index0 < ns.asked %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
_SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 352,
}
_ENDS = {"bos_token_id": 0, "do_sample": True, "eos_token_id": [2, 0], "pad_token_id": 0}


def make_small_qwen2(folder: Path) -> None:
    """Write the layout of Qwen/Qwen2.5-0.5B-Instruct: tied embeddings, a repetition penalty.

    The vocabulary has more rows than the tokenizer has words, as there.
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM

    _write_words(folder, [END, IM_START, IM_END], _QWEN2_TEMPLATE)
    config = {
        "architectures": ["Qwen2ForCausalLM"],
        "max_window_layers": 2,
        "model_type": "qwen2",
        "sliding_window": 512,
    }
    published = _published(config)
    model = Qwen2ForCausalLM(Qwen2Config(**published))
    generation = _ENDS | {"repetition_penalty": 1.1, "temperature": 0.7, "top_k": 20, "top_p": 0.8}
    _write_model(folder, model, published, generation)


def make_small_qwen3(folder: Path) -> None:
    """Write the layout of Qwen/Qwen3-0.6B: norms of queries and keys, `<think>`, two shards.

    Heads are wider than the hidden size divided by their number, as there.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    _write_words(folder, [END, IM_START, IM_END], _QWEN3_TEMPLATE, words=["<think>", "</think>"])
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "head_dim": 32,
        "max_window_layers": 2,
        "model_type": "qwen3",
        "rope_scaling": None,
        "sliding_window": None,
    }
    published = _published(config)
    model = Qwen3ForCausalLM(Qwen3Config(**published))
    generation = _ENDS | {"temperature": 0.6, "top_k": 20, "top_p": 0.95}
    _write_model(folder, model, published, generation, max_shard_size="128KB")


def _write_words(
    folder: Path, specials: list[str], template: str, words: Sequence[str] = ()
) -> None:
    from tokenizers import Regex, normalizers
    from tokenizers.pre_tokenizers import ByteLevel, Split

    folder.mkdir(parents=True, exist_ok=True)
    bytes_of = ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    write_byte_level(
        folder,
        split=[Split(Regex(_SPLIT), behavior="isolated"), bytes_of],
        specials=specials,
        words=words,
        normalizer=normalizers.NFC(),
        config={
            "add_bos_token": False,
            "add_prefix_space": False,
            "additional_special_tokens": [IM_START, IM_END],
            "bos_token": None,
            "chat_template": template,
            "clean_up_tokenization_spaces": False,
            "eos_token": IM_END,
            "errors": "replace",
            "model_max_length": 131072,
            "pad_token": END,
            "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        },
    )


def _published(config: dict[str, Any]) -> dict[str, Any]:
    """Return config.json with the keys of transformers 4, under which Qwen is published."""
    return {
        **_SIZES,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        **config,
    }


def _write_model(
    folder: Path,
    model: "PreTrainedModel",
    config: dict[str, Any],
    generation: dict[str, Any],
    max_shard_size: str = "50GB",
) -> None:
    sharpen(model)
    model.bfloat16().save_pretrained(folder, max_shard_size=max_shard_size)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", generation)
    export_part("answerer", folder)

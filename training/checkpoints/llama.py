"""Llama: answerers with a chat template."""

from pathlib import Path

from training.checkpoints.files import write_byte_bpe
from training.checkpoints.weights import sharpen
from training.export.parts import export_part

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|{{ message['role'] }}|>\n{{ message['content'] | trim }}<|endoftext|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


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

"""Both engines against transformers' own chat template, generate and tokenizer."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaTokenizer,
    PreTrainedTokenizerFast,
)

from models.chat import Completion, load
from models.chat.prompts import Prompts
from models.chat.template import ChatTemplate
from models.settings import EngineSettings
from training.checkpoints import llama, qwen
from training.export.parts import export_part

DEMO = Path("bundles/demo/answerer")
CHATS = [
    [{"role": "user", "content": "what color is the couch?"}],
    [
        {"role": "system", "content": "  answer in a few words. "},
        {"role": "user", "content": 'is there a surfboard?\nTags: dog, "cat" <b>'},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "Übergröße? 🙂"},
    ],
    [{"role": "user", "content": "how many dogs are sitting on the couch, and where?"}] * 3,
]
ENGINES = [EngineSettings(engine="onnx"), EngineSettings(engine="torch")]


CHECKPOINTS = {
    "Llama": llama.make_small_answerer,
    "SmolLM2": llama.make_small_smollm2,
    "TinyLlama": llama.make_small_tinyllama,
    "Qwen2.5": qwen.make_small_qwen2,
    "Qwen3": qwen.make_small_qwen3,
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def made(name: str) -> Path:
        folder = tmp_path_factory.mktemp("answerer")
        CHECKPOINTS[name](folder)
        return folder

    return made


@pytest.fixture
def small(checkpoints: Callable[[str], Path]) -> Path:
    return checkpoints("Llama")


def reference_tokenizer(folder: Path) -> Any:
    """Return transformers' tokenizer, read from tokenizer.json as it stands.

    AutoTokenizer makes a LlamaTokenizer anew, with another rule for the text after a special token.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if isinstance(tokenizer, LlamaTokenizer):
        return PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer


def reference(folder: Path, chat: list[dict[str, str]], max_new_tokens: int) -> Completion:
    torch.set_num_threads(1)
    tokenizer = reference_tokenizer(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt: Any = tokenizer.apply_chat_template(
        chat,
        add_generation_prompt=True,
        enable_thinking=False,
        return_tensors="pt",
        return_dict=False,
    )
    written = model.generate(prompt, max_new_tokens=max_new_tokens, do_sample=False)
    new = written[0, prompt.shape[1] :].tolist()
    text = str(tokenizer.decode(new, skip_special_tokens=True)).strip()
    return Completion(text, prompt_tokens=prompt.shape[1], completion_tokens=len(new))


@pytest.mark.parametrize("engine", ENGINES, ids=["onnx", "torch"])
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_batch_of_chats_is_completed_as_transformers_completes_each(
    checkpoints: Callable[[str], Path], name: str, engine: EngineSettings
) -> None:
    folder = checkpoints(name)
    model = load(folder, engine)
    expected = [reference(folder, chat, 12) for chat in CHATS]
    assert len({completion.text for completion in expected}) == len(CHATS)
    assert model.complete(CHATS, max_new_tokens=12) == expected
    assert [model.complete([chat], max_new_tokens=12)[0] for chat in CHATS] == expected
    assert [model.count_tokens(chat) for chat in CHATS] == [e.prompt_tokens for e in expected]


def test_a_graph_reads_weights_from_bfloat16_shards(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    model: Any = AutoModelForCausalLM.from_pretrained(small, dtype=torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="64KB")
    relinked = export_part("answerer", tmp_path)["model.onnx"]
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(shards) > 1
    assert relinked is not None
    assert relinked.linked == len(list(model.parameters()))
    graph = (tmp_path / "model.onnx").read_bytes()
    assert all(shard.encode() in graph for shard in shards)
    expected = [reference(tmp_path, chat, 12) for chat in CHATS]
    for engine in ENGINES:
        assert load(tmp_path, engine).complete(CHATS, max_new_tokens=12) == expected


@pytest.mark.parametrize("engine", ENGINES, ids=["onnx", "torch"])
def test_a_chat_and_its_answer_that_pass_the_context_are_refused(
    small: Path, engine: EngineSettings
) -> None:
    model = load(small, engine)
    room = 256 - model.count_tokens(CHATS[0])
    assert model.complete([CHATS[0]], max_new_tokens=room)[0].completion_tokens <= room
    with pytest.raises(ValueError, match="256"):
        model.complete([CHATS[0]], max_new_tokens=room + 1)
    assert model.complete([], max_new_tokens=1) == []


TEMPLATES = {
    "special tokens": llama.CHAT_TEMPLATE,
    "json and control": (
        "{%- for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}\n"
        "   {{ m | tojson }}\n{% endfor %}{{ tools is none }}{{ messages | tojson(indent=1) }}"
    ),
    "generation": (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}"
        "{% generation %}{{ m['content'] }}{{ eos_token }}{% endgeneration %}"
        "{% else %}[{{ m.content }}]{% endif %}{% endfor %}"
    ),
    "namespace": (
        "{% set ns = namespace(seen='') %}{% for m in messages %}"
        "{% set ns.seen = ns.seen + m['role'][0] %}{% endfor %}{{ ns.seen }}{{ bos_token }}"
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json"])
def test_templates_render_as_in_transformers(
    small: Path, tmp_path: Path, name: str, place: str
) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_text((small / file).read_text())
    if place == "chat_template.jinja":
        (tmp_path / place).write_text(TEMPLATES[name])
    else:
        config = json.loads((tmp_path / place).read_text())
        config["chat_template"] = [{"name": "default", "template": TEMPLATES[name]}]
        (tmp_path / place).write_text(json.dumps(config))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for chat in CHATS:
        expected = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        assert ChatTemplate(tmp_path).render(chat) == expected


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_token_ids_of_a_prompt_equal_those_of_transformers(
    checkpoints: Callable[[str], Path], name: str
) -> None:
    folder = checkpoints(name)
    tokenizer = reference_tokenizer(folder)
    for chat in CHATS:
        expected = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, enable_thinking=False, return_dict=False
        )
        assert Prompts(folder).encode(chat) == expected


def test_qwen3_does_not_think_before_it_answers(checkpoints: Callable[[str], Path]) -> None:
    folder = checkpoints("Qwen3")
    prompt = Prompts(folder).encode(CHATS[0])
    text = reference_tokenizer(folder).decode(prompt)
    assert text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_tied_embeddings_need_no_weights_of_an_lm_head(checkpoints: Callable[[str], Path]) -> None:
    index = json.loads((checkpoints("Qwen3") / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 1
    assert "model.embed_tokens.weight" in index["weight_map"]
    assert "lm_head.weight" not in index["weight_map"]


def test_the_demo_answerer_says_the_same_on_both_engines() -> None:
    def chat(things: str, question: str) -> list[dict[str, str]]:
        context = f"Context: a person with black hair in a red shirt. there is {things}."
        return [
            {"role": "system", "content": "Answer the question about the photo in a few words."},
            {"role": "user", "content": f"{context}\nTags: person, mug\nQuestion: {question}"},
        ]

    chats = [
        chat("a red mug", "what color is the mug?"),
        chat("a blue cat, a green clock", "is there a cat?"),
        chat("a yellow book, a purple ball, a black lamp", "how many people are there?"),
    ]
    onnx, torch_ = (load(DEMO, engine).complete(chats, max_new_tokens=16) for engine in ENGINES)
    assert onnx == torch_

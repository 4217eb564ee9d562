"""Render a checkpoint's chat template, as transformers' `apply_chat_template` does.

Templates come with the weights and are code, so they run in jinja2's sandbox.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.chat import Turn

_SPECIAL_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


class ChatTemplate:
    """The chat template of one checkpoint.

    Reads `chat_template.jinja`, or else the entry `chat_template` of tokenizer_config.json.

    Args:
        folder: The checkpoint.
        variables: Further variables of the template, as keyword arguments of
            `apply_chat_template`.

    Raises:
        FileNotFoundError: The checkpoint has neither.
    """

    def __init__(self, folder: Path, variables: Mapping[str, object] | None = None) -> None:
        path = folder / "tokenizer_config.json"
        config: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        self._template = _environment().from_string(_source(folder, config))
        tokens = {
            name: _text(config[name]) for name in _SPECIAL_TOKENS if config.get(name) is not None
        }
        self._variables = {**tokens, **(variables or {})}

    def render(self, chat: Sequence[Turn]) -> str:
        """Return the text that ends where the assistant's answer begins.

        Raises:
            ValueError: The template refuses the chat (some require alternating roles).
        """
        try:
            return self._template.render(
                messages=[dict(turn) for turn in chat],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                **self._variables,
            )
        except TemplateError as error:
            raise ValueError(f"the chat template refuses the chat: {error}") from error


def _source(folder: Path, config: dict[str, Any]) -> str:
    own = folder / "chat_template.jinja"
    if own.exists():
        return own.read_text("utf-8")
    entry = config.get("chat_template")
    if isinstance(entry, list):
        entry = {one["name"]: one["template"] for one in entry}.get("default")
    if not isinstance(entry, str):
        raise FileNotFoundError(f"{folder.name} has no chat template")
    return entry


def _text(token: str | dict[str, Any]) -> str:
    return str(token["content"]) if isinstance(token, dict) else token


class _GenerationBlock(Extension):
    """Renders the content of `{% generation %}`, which only training needs."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the nodes inside the block."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    return environment


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Return JSON without jinja2's HTML escaping."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(form: str) -> str:
    # Templates write the local date, as transformers does.
    return datetime.now().strftime(form)  # noqa: DTZ005

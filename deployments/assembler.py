"""The assembler stage: the few-shot prompt, which describes photos as text (PICa).

A pure function. No variable holds both the user's question and an example's: the 2024 app did that,
and asked the model the wrong question.
"""

import math
from collections.abc import Sequence

from deployments.calls import received
from deployments.messages import Call, Example, Message, Prompt
from deployments.settings import AssemblerSettings
from deployments.telemetry.traces import NO_TRACER, Tracer


def describe(caption: str, tags: Sequence[str], question: str) -> str:
    """Return the text form of one photo and its question.

    Tags are listed left to right, so that their order tells positions.
    """
    lines = [f"Context: {caption}"] if caption else []
    if tags:
        lines.append(f"Tags: {', '.join(tags)}")
    lines.append(f"Question: {question}")
    return "\n".join(lines)


def assemble(
    settings: AssemblerSettings,
    *,
    caption: str,
    tags: Sequence[str],
    question: str,
    examples: Sequence[Example],
) -> Prompt:
    """Return the prompt: instruction, solved examples, then the user's own caption and question.

    Args:
        settings: Form (chat or completion), instruction and token budget.
        caption: Caption of the user's photo; may be empty.
        tags: The tagger's labels, left to right; may be empty.
        question: The user's question.
        examples: Solved examples, most similar first. The most similar is put last in the
            prompt, next to the user's question; those over the token budget are dropped,
            least similar first.
    """
    own = describe(caption, tags, question)
    kept = _within_budget(settings, own, examples)
    ordered = tuple(reversed(kept))
    write = _chat if settings.form == "chat" else _completion
    return Prompt(
        messages=write(settings.instruction, ordered, own),
        examples_used=tuple(example.id for example in ordered),
    )


def _within_budget(
    settings: AssemblerSettings, own: str, examples: Sequence[Example]
) -> list[Example]:
    """Return the most similar examples that fit beside the user's own question."""
    left = settings.token_budget - _tokens(settings, settings.instruction) - _tokens(settings, own)
    kept: list[Example] = []
    for example in examples:
        # In the chat form an example is two messages.
        left -= _tokens(settings, _solved(example)) + settings.tokens_per_message
        if left < 0:
            break
        kept.append(example)
    return kept


def _tokens(settings: AssemblerSettings, text: str) -> int:
    """Return an upper estimate: the tokenizer of a model behind an API is unknown."""
    return settings.tokens_per_message + math.ceil(len(text.encode()) / settings.bytes_per_token)


def _solved(example: Example) -> str:
    return f"{describe(example.caption, example.tags, example.question)}\nAnswer: {example.answer}"


def _chat(instruction: str, examples: Sequence[Example], own: str) -> tuple[Message, ...]:
    messages = [Message("system", instruction)]
    for example in examples:
        messages.append(Message("user", describe(example.caption, example.tags, example.question)))
        messages.append(Message("assistant", example.answer))
    messages.append(Message("user", own))
    return tuple(messages)


def _completion(instruction: str, examples: Sequence[Example], own: str) -> tuple[Message, ...]:
    """Return PICa's prompt (Yang et al. 2022, figure 2), one text that ends at "Answer:"."""
    blocks = [instruction, *map(_solved, examples), f"{own}\nAnswer:"]
    return (Message("user", "\n\n".join(blocks)),)


class Assembler:
    """The assembler stage: `assemble` behind a deployment of its own."""

    def __init__(self, settings: AssemblerSettings, tracer: Tracer = NO_TRACER) -> None:
        self._settings, self._tracer = settings, tracer

    async def assemble(
        self,
        caption: str,
        tags: Sequence[str],
        question: str,
        examples: Sequence[Example],
        call: Call,
    ) -> Prompt:
        """Return the prompt for one question; see the function `assemble`.

        Raises:
            DeadlineExceeded: The call's time has passed.
        """
        async with received("assembler", call, self._tracer):
            return assemble(
                self._settings, caption=caption, tags=tags, question=question, examples=examples
            )

    async def check_health(self) -> None:
        """Return: there is no model that could fail."""

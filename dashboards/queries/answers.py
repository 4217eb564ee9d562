"""Answers: the language model that writes them, and what goes in and comes out.

A distribution that changes while nobody released anything is drift: other photos, other questions,
or a model behind an address that is not the one it was.
"""

from dashboards.promql import Scope, aggregate, buckets, quantile, rate, select, share
from deployments.telemetry.metrics import (
    ANSWER_CHARACTERS,
    BANK_EXAMPLES,
    BEST_SIMILARITY,
    FEEDBACK,
    LLM_COMPLETION_TOKENS,
    LLM_COST_DOLLARS,
    LLM_FIRST_TOKEN_SECONDS,
    LLM_PROMPT_TOKENS,
    LLM_REQUESTS,
    LLM_RETRIES,
    LLM_SECONDS,
    PHOTO_BYTES,
    PHOTO_INTENSITY,
    PHOTO_PIXELS,
    QUESTION_CHARACTERS,
)

# A prompt whose caller went away, or that waited in vain here, says nothing about the model. One
# that ran out of time does: its outcome is `timeout`, whoever stopped it.
_ENDED = ('outcome!~"cancelled|overloaded"',)
_FAILED = ('outcome!~"ok|cancelled|overloaded"',)


def prompt_rate(scope: Scope) -> str:
    """Return prompts a second by model and by what became of them."""
    return rate(LLM_REQUESTS, scope, "model", "outcome")


def llm_fault_share(scope: Scope) -> str:
    """Return the share without an answer of the prompts that the model had its time for."""
    failed = rate(LLM_REQUESTS, scope, "model", matchers=_FAILED)
    return share(failed, rate(LLM_REQUESTS, scope, "model", matchers=_ENDED))


def refused_share(scope: Scope) -> str:
    """Return the share of prompts that the model refused to answer, by model."""
    refused = rate(LLM_REQUESTS, scope, "model", matchers=('outcome="refused"',))
    return share(refused, rate(LLM_REQUESTS, scope, "model"))


def retry_share(scope: Scope) -> str:
    """Return further attempts for each prompt, by model."""
    return share(rate(LLM_RETRIES, scope, "model"), rate(LLM_REQUESTS, scope, "model"))


def llm_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of seconds from a prompt to the end of its answer, by model."""
    return quantile(q, LLM_SECONDS, scope, "model")


def first_token_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of seconds to the first token, by model."""
    return quantile(q, LLM_FIRST_TOKEN_SECONDS, scope, "model")


def tokens_read(scope: Scope) -> str:
    """Return tokens a second that the model reads, by model."""
    return rate(LLM_PROMPT_TOKENS, scope, "model")


def tokens_written(scope: Scope) -> str:
    """Return tokens a second that the model writes, by model."""
    return rate(LLM_COMPLETION_TOKENS, scope, "model")


def tokens_read_each(scope: Scope) -> str:
    """Return tokens that the model reads for one prompt, by model."""
    return share(tokens_read(scope), rate(LLM_REQUESTS, scope, "model"))


def _cost_rate(scope: Scope) -> str:
    """Return dollars a second by model, 0 for one without a price."""
    return f"({rate(LLM_COST_DOLLARS, scope, 'model')} or 0 * {tokens_read(scope)})"


def cost_per_hour(scope: Scope) -> str:
    """Return dollars an hour by model; 0 for one whose price is not in the settings."""
    return f"3600 * {_cost_rate(scope)}"


def cost_per_thousand(scope: Scope) -> str:
    """Return dollars for 1000 answers, with what was paid for no answer, by model."""
    answered = rate(LLM_REQUESTS, scope, "model", matchers=('outcome="ok"',))
    return f"1000 * {_cost_rate(scope)} / ({answered} > 0)"


def helpful_share(scope: Scope) -> str:
    """Return the share of verdicts that call an answer helpful."""
    helpful = rate(FEEDBACK, scope, matchers=('verdict="helpful"',))
    return share(helpful, rate(FEEDBACK, scope))


def verdict_rate(scope: Scope) -> str:
    """Return verdicts of people a second."""
    return rate(FEEDBACK, scope, "verdict")


def similarity(scope: Scope, q: float) -> str:
    """Return the q-quantile of the similarity of the most similar example."""
    return quantile(q, BEST_SIMILARITY, scope)


def similarity_spread(scope: Scope) -> str:
    """Return questions a second in each bucket of the similarity of their best example."""
    return buckets(BEST_SIMILARITY, scope)


def bank_examples(scope: Scope) -> str:
    """Return the solved examples that are searched; replicas that differ show the fewest."""
    return aggregate("min", select(BANK_EXAMPLES, scope), scope)


def photo_intensity(scope: Scope, q: float) -> str:
    """Return the q-quantile of the brightness of photos."""
    return quantile(q, PHOTO_INTENSITY, scope)


def photo_intensity_spread(scope: Scope) -> str:
    """Return photos a second in each bucket of brightness."""
    return buckets(PHOTO_INTENSITY, scope)


def photo_pixels(scope: Scope, q: float) -> str:
    """Return the q-quantile of the pixels of photos."""
    return quantile(q, PHOTO_PIXELS, scope)


def photo_bytes(scope: Scope, q: float) -> str:
    """Return the q-quantile of the bytes of photos."""
    return quantile(q, PHOTO_BYTES, scope)


def question_characters(scope: Scope, q: float) -> str:
    """Return the q-quantile of the length of questions."""
    return quantile(q, QUESTION_CHARACTERS, scope)


def answer_characters(scope: Scope, q: float) -> str:
    """Return the q-quantile of the length of answers."""
    return quantile(q, ANSWER_CHARACTERS, scope)

"""Answers: language model, its cost, quality of answers, drift of inputs."""

from dataclasses import replace

from dashboards import slo
from dashboards.page import CHOSEN, Page, Row
from dashboards.panels import About, Query, high, lines, low, number, spread
from dashboards.queries import answers, requests, stages

_NOW = replace(CHOSEN, window="5m")
_HOUR = replace(CHOSEN, window="1h")

_HEALTH = Row(
    "Now",
    [
        number(
            About(
                "Failed prompts",
                "percentunit",
                "Share of prompts of the last 5 minutes that timed out, were refused, came back "
                "empty or failed. Above the limit: check the provider's status page first.",
            ),
            Query(answers.llm_fault_share(_NOW), "{{model}}"),
            limits=high(slo.LLM_FAULT_SHARE / 10, slo.LLM_FAULT_SHARE),
        ),
        number(
            About(
                "Time to first token, p95",
                "s",
                "95 % of prompts of the last 5 minutes had their first token within this time.",
            ),
            Query(answers.first_token_seconds(_NOW, 0.95), "{{model}}"),
            limits=high(slo.LATENCY_S / 4, slo.LATENCY_S / 2),
        ),
        number(
            About(
                "Cost per hour",
                "currencyUSD",
                "Tokens of the last hour times the prices in the settings; 0 for a model without a "
                "price. Compare with the provider's bill once a month.",
            ),
            Query(answers.cost_per_hour(_HOUR), "{{model}}"),
            limits=high(slo.LLM_DOLLARS_PER_HOUR / 2, slo.LLM_DOLLARS_PER_HOUR),
        ),
        number(
            About(
                "Cost of 1000 answers",
                "currencyUSD",
                "Failed prompts included, since they are paid for too. A rise at the same price: "
                "longer prompts (see tokens), or more failures.",
            ),
            Query(answers.cost_per_thousand(_HOUR), "{{model}}"),
        ),
        number(
            About(
                "Rated helpful",
                "percentunit",
                "Share of the last hour's feedback. Few people give any: check the number of "
                "ratings before you rely on it.",
            ),
            Query(answers.helpful_share(_HOUR), "helpful"),
            limits=low(0.5, 0.7),
        ),
        number(
            About(
                "Similarity of best example, p50",
                "none",
                "Median CLIP similarity of the best solved example over the last hour; 1 is "
                "identical. A fall: people ask about things that the bank does not cover.",
            ),
            Query(answers.similarity(_HOUR, 0.5), "p50"),
        ),
    ],
)

_MODEL = Row(
    "Language model",
    [
        lines(
            About(
                "Prompts by outcome",
                "reqps",
                "timeout and unavailable: the provider, or the network to it; overloaded: our rate "
                "is above its limit; refused: the key, the request or its content; too_long: "
                "prompts exceed its context; cancelled: the caller disconnected.",
            ),
            Query(answers.prompt_rate(CHOSEN), "{{model}} {{outcome}}"),
            stacked=True,
        ),
        lines(
            About(
                "Latency of prompts",
                "s",
                "From sending the prompt to the end of the answer, retries included.",
            ),
            Query(answers.llm_seconds(CHOSEN, 0.5), "{{model}} p50"),
            Query(answers.llm_seconds(CHOSEN, 0.95), "{{model}} p95"),
            limits=((None, "green"), (slo.LATENCY_S, "red")),
        ),
        lines(
            About(
                "Time to first token",
                "s",
                "If most of the latency is here, prompts are long or queue at the provider; if "
                "not, the model generates slowly.",
            ),
            Query(answers.first_token_seconds(CHOSEN, 0.5), "{{model}} p50"),
            Query(answers.first_token_seconds(CHOSEN, 0.95), "{{model}} p95"),
        ),
        lines(
            About(
                "Refusals, retries, failures",
                "percentunit",
                "Share of prompts that were refused or failed, and retries per prompt. Retries "
                "above a few percent: the provider is failing, and we pay and wait twice.",
            ),
            Query(answers.refused_share(CHOSEN), "{{model}} refused"),
            Query(answers.retry_share(CHOSEN), "{{model}} retries"),
            Query(answers.llm_fault_share(CHOSEN), "{{model}} failed"),
            limits=high(slo.LLM_FAULT_SHARE / 2, slo.LLM_FAULT_SHARE),
        ),
        lines(
            About(
                "Tokens per second",
                "short",
                "Prompt and completion tokens; these are what is paid for.",
            ),
            Query(answers.tokens_read(CHOSEN), "{{model}} prompt"),
            Query(answers.tokens_written(CHOSEN), "{{model}} completion"),
        ),
        lines(
            About(
                "Tokens per prompt",
                "short",
                "Mean. It follows the number of solved examples in the settings and the length of "
                "captions; a step without a release means that one of them changed.",
            ),
            Query(answers.tokens_read_each(CHOSEN), "{{model}}"),
        ),
    ],
)

_QUALITY = Row(
    "Quality of answers",
    [
        lines(
            About(
                "Degraded answers",
                "percentunit",
                "Share of a stage's calls that failed or were too slow, so that the answer was "
                "made without it. Such answers are worse than the evaluated ones, and no caller "
                "gets an error.",
            ),
            Query(stages.degraded_share(CHOSEN), "{{stage}}"),
            limits=high(slo.DEGRADED_SHARE / 2, slo.DEGRADED_SHARE),
        ),
        lines(
            About(
                "Similarity of the best example",
                "none",
                "Percentiles of the CLIP similarity. p5 falls first when people begin to ask "
                "something new.",
            ),
            Query(answers.similarity(CHOSEN, 0.05), "p5"),
            Query(answers.similarity(CHOSEN, 0.5), "p50"),
            Query(answers.similarity(CHOSEN, 0.95), "p95"),
            most=1,
        ),
        lines(
            About(
                "Feedback",
                "reqps",
                "Ratings of answers. A lasting change of their ratio after a release is a reason "
                "to roll back.",
            ),
            Query(answers.verdict_rate(CHOSEN), "{{verdict}}"),
            stacked=True,
        ),
        spread(
            About(
                "Distribution of similarity",
                "none",
                "Similarity of the best example of each question. A new band at the bottom is a "
                "new kind of question.",
            ),
            answers.similarity_spread(CHOSEN),
        ),
        lines(
            About(
                "Solved examples",
                "short",
                "Size of the example bank; the smallest over all replicas. A step without a "
                "release: somebody changed the bundle.",
            ),
            Query(answers.bank_examples(CHOSEN), "examples"),
            width=6,
        ),
        lines(
            About(
                "Answers",
                "reqps",
                "Requests for an answer per second; the shares on this page are of these.",
            ),
            Query(requests.answer_rate(CHOSEN), "answers"),
            width=6,
        ),
    ],
)

_DRIFT = Row(
    "Drift of inputs and outputs",
    [
        spread(
            About(
                "Brightness of photos",
                "percentunit",
                "Mean brightness of each photo, 0 black to 1 white. Another distribution than last "
                "week: other cameras, other hours, or a client that damages photos.",
            ),
            answers.photo_intensity_spread(CHOSEN),
        ),
        lines(
            About(
                "Brightness of photos, percentiles",
                "percentunit",
                "All lines at 0 or 1: photos arrive empty.",
            ),
            Query(answers.photo_intensity(CHOSEN, 0.05), "p5"),
            Query(answers.photo_intensity(CHOSEN, 0.5), "p50"),
            Query(answers.photo_intensity(CHOSEN, 0.95), "p95"),
            width=12,
            most=1,
        ),
        lines(
            About(
                "Photo size in pixels",
                "short",
                "Width times height. Larger photos take longer to decode and to scale down; tiny "
                "ones cannot be answered.",
            ),
            Query(answers.photo_pixels(CHOSEN, 0.5), "p50"),
            Query(answers.photo_pixels(CHOSEN, 0.95), "p95"),
            width=6,
        ),
        lines(
            About(
                "Photo size in bytes",
                "bytes",
                "As sent by callers. Photos above the limit in the settings are refused and not "
                "counted here.",
            ),
            Query(answers.photo_bytes(CHOSEN, 0.5), "p50"),
            Query(answers.photo_bytes(CHOSEN, 0.95), "p95"),
            width=6,
        ),
        lines(
            About(
                "Length of questions",
                "short",
                "In characters. Much longer than before: callers send something else than "
                "questions.",
            ),
            Query(answers.question_characters(CHOSEN, 0.5), "p50"),
            Query(answers.question_characters(CHOSEN, 0.95), "p95"),
            width=6,
        ),
        lines(
            About(
                "Length of answers",
                "short",
                "In characters. Answers are a word or two; long ones mean that the model does not "
                "follow the prompt.",
            ),
            Query(answers.answer_characters(CHOSEN, 0.5), "p50"),
            Query(answers.answer_characters(CHOSEN, 0.95), "p95"),
            width=6,
        ),
    ],
)

ANSWERS = Page(
    name="answers",
    title="Answers",
    description="The language model and its cost, quality of answers, and drift.",
    rows=(_HEALTH, _MODEL, _QUALITY, _DRIFT),
)

"""Answers: the language model and its cost, how good answers are, and whether inputs drift."""

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
                "Prompts without an answer",
                "percentunit",
                "Share of prompts of the last 5 minutes that timed out, were refused, came back "
                "empty or failed. Above the limit: the provider's status page first.",
            ),
            Query(answers.llm_fault_share(_NOW), "{{model}}"),
            limits=high(slo.LLM_FAULT_SHARE / 10, slo.LLM_FAULT_SHARE),
        ),
        number(
            About(
                "First token",
                "s",
                "95 of 100 prompts have their first token within; what people feel as waiting.",
            ),
            Query(answers.first_token_seconds(_NOW, 0.95), "{{model}}"),
            limits=high(slo.LATENCY_S / 4, slo.LATENCY_S / 2),
        ),
        number(
            About(
                "Cost of an hour",
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
                "With what was paid for prompts that gave no answer. A rise at the same price: "
                "longer prompts, see tokens, or failing ones.",
            ),
            Query(answers.cost_per_thousand(_HOUR), "{{model}}"),
        ),
        number(
            About(
                "Called helpful",
                "percentunit",
                "Share of the last hour's verdicts of people. Few people give any: look at how "
                "many before you believe it.",
            ),
            Query(answers.helpful_share(_HOUR), "helpful"),
            limits=low(0.5, 0.7),
        ),
        number(
            About(
                "Similarity of best examples",
                "none",
                "Half of the last hour's questions have a solved example at least so similar, 1 "
                "the same. A fall: people ask what the bank does not know.",
            ),
            Query(answers.similarity(_HOUR, 0.5), "half"),
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
                "timeout and unavailable: the provider, or the way to it; overloaded: our rate is "
                "above its limit; refused: it would not answer; too_long: prompts above its "
                "context; cancelled: the caller went away.",
            ),
            Query(answers.prompt_rate(CHOSEN), "{{model}} {{outcome}}"),
            stacked=True,
        ),
        lines(
            About(
                "Seconds of a prompt",
                "s",
                "From prompt to the end of the answer, retries included.",
            ),
            Query(answers.llm_seconds(CHOSEN, 0.5), "{{model}} half"),
            Query(answers.llm_seconds(CHOSEN, 0.95), "{{model}} 95 of 100"),
            limits=((None, "green"), (slo.LATENCY_S, "red")),
        ),
        lines(
            About(
                "Seconds to the first token",
                "s",
                "Long with a short rest: prompts are long, or wait at the provider. Long in all: "
                "the model itself is slow.",
            ),
            Query(answers.first_token_seconds(CHOSEN, 0.5), "{{model}} half"),
            Query(answers.first_token_seconds(CHOSEN, 0.95), "{{model}} 95 of 100"),
        ),
        lines(
            About(
                "Refused and retried",
                "percentunit",
                "Share of prompts that the model refused, and further attempts for each prompt. "
                "Retries above a few of 100: the provider is failing, and we pay and wait twice.",
            ),
            Query(answers.refused_share(CHOSEN), "{{model}} refused"),
            Query(answers.retry_share(CHOSEN), "{{model}} retries"),
            Query(answers.llm_fault_share(CHOSEN), "{{model}} without an answer"),
            limits=high(slo.LLM_FAULT_SHARE / 2, slo.LLM_FAULT_SHARE),
        ),
        lines(
            About(
                "Tokens",
                "short",
                "Tokens a second that the model reads and writes; what is paid for.",
            ),
            Query(answers.tokens_read(CHOSEN), "{{model}} read"),
            Query(answers.tokens_written(CHOSEN), "{{model}} written"),
        ),
        lines(
            About(
                "Tokens of one prompt",
                "short",
                "Mean. It follows the number of solved examples in the settings and the length of "
                "captions; a step without a release means that one of them changed.",
            ),
            Query(answers.tokens_read_each(CHOSEN), "{{model}}"),
        ),
    ],
)

_QUALITY = Row(
    "How good answers are",
    [
        lines(
            About(
                "Answers that did without a stage",
                "percentunit",
                "Share of a stage's calls whose answer did without it because it failed or was "
                "slow. Such answers are worse than the evaluated ones, and nobody gets an error.",
            ),
            Query(stages.degraded_share(CHOSEN), "{{stage}}"),
            limits=high(slo.DEGRADED_SHARE / 2, slo.DEGRADED_SHARE),
        ),
        lines(
            About(
                "Similarity of the best example",
                "none",
                "5, 50 and 95 of 100 questions have a best example of at most so much. The lowest "
                "line falls first when people begin to ask something new.",
            ),
            Query(answers.similarity(CHOSEN, 0.05), "5 of 100"),
            Query(answers.similarity(CHOSEN, 0.5), "half"),
            Query(answers.similarity(CHOSEN, 0.95), "95 of 100"),
            most=1,
        ),
        lines(
            About(
                "Verdicts of people",
                "reqps",
                "What people said of answers. A lasting change of their relation after a release "
                "is a reason to go back.",
            ),
            Query(answers.verdict_rate(CHOSEN), "{{verdict}}"),
            stacked=True,
        ),
        spread(
            About(
                "Spread of similarity",
                "none",
                "How similar the best example of each question was. A new band at the bottom is a "
                "new kind of question.",
            ),
            answers.similarity_spread(CHOSEN),
        ),
        lines(
            About(
                "Solved examples",
                "short",
                "Size of the example bank, of the replica with the smallest. A step without a "
                "release: somebody changed the bundle.",
            ),
            Query(answers.bank_examples(CHOSEN), "examples"),
            width=6,
        ),
        lines(
            About(
                "Answers",
                "reqps",
                "Requests for an answer, to weigh the shares on this page by.",
            ),
            Query(requests.answer_rate(CHOSEN), "answers"),
            width=6,
        ),
    ],
)

_DRIFT = Row(
    "Drift of what comes in and goes out",
    [
        spread(
            About(
                "Brightness of photos",
                "percentunit",
                "Mean brightness of each photo, 0 black to 1 white. Another spread than last "
                "week's: other cameras, other hours, or a client that damages photos.",
            ),
            answers.photo_intensity_spread(CHOSEN),
        ),
        lines(
            About(
                "Brightness of photos, quantiles",
                "percentunit",
                "5, 50 and 95 of 100 photos are at most so bright. All lines at 0 or 1: photos "
                "arrive empty.",
            ),
            Query(answers.photo_intensity(CHOSEN, 0.05), "5 of 100"),
            Query(answers.photo_intensity(CHOSEN, 0.5), "half"),
            Query(answers.photo_intensity(CHOSEN, 0.95), "95 of 100"),
            width=12,
            most=1,
        ),
        lines(
            About(
                "Pixels of photos",
                "short",
                "Width times height, half and 95 of 100. Larger ones take longer to read and to "
                "shrink; tiny ones cannot be answered about.",
            ),
            Query(answers.photo_pixels(CHOSEN, 0.5), "half"),
            Query(answers.photo_pixels(CHOSEN, 0.95), "95 of 100"),
            width=6,
        ),
        lines(
            About(
                "Bytes of photos",
                "bytes",
                "As they were sent, half and 95 of 100. What is above the limit in the settings is "
                "refused and not counted here.",
            ),
            Query(answers.photo_bytes(CHOSEN, 0.5), "half"),
            Query(answers.photo_bytes(CHOSEN, 0.95), "95 of 100"),
            width=6,
        ),
        lines(
            About(
                "Length of questions",
                "short",
                "Characters, half and 95 of 100. Much longer ones than before: people, or a "
                "program, put something else than a question in.",
            ),
            Query(answers.question_characters(CHOSEN, 0.5), "half"),
            Query(answers.question_characters(CHOSEN, 0.95), "95 of 100"),
            width=6,
        ),
        lines(
            About(
                "Length of answers",
                "short",
                "Characters, half and 95 of 100. Answers are a word or two; long ones mean that "
                "the model no longer follows the prompt.",
            ),
            Query(answers.answer_characters(CHOSEN, 0.5), "half"),
            Query(answers.answer_characters(CHOSEN, 0.95), "95 of 100"),
            width=6,
        ),
    ],
)

ANSWERS = Page(
    name="answers",
    title="Answers",
    description="The language model and its cost, how good answers are, and drift.",
    rows=(_HEALTH, _MODEL, _QUALITY, _DRIFT),
)

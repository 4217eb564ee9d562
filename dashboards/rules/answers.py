"""Alerts on answers: failures and cost of the language model, and degraded answers."""

from dataclasses import replace

from dashboards import slo
from dashboards.promql import aggregate, select
from dashboards.queries import answers, stages
from dashboards.rules.format import APP, SCOPE, Alert, Group
from deployments.telemetry.metrics import LLM_COST_DOLLARS


def llm_failing(window: str = SCOPE.window, hold: str = Alert.hold) -> Alert:
    """Return the alert on a language model that fails or hangs; tests cannot wait that long."""
    faults = answers.llm_fault_share(replace(SCOPE, window=window))
    return Alert(
        name="AdmirerLlmFailing",
        severity="page",
        summary="{{ $value | humanizePercentage }} of the prompts to {{ $labels.model }} fail in"
        f" the answerer of {APP}.",
        description="See which outcome grows (Answers, prompts by outcome): refused is the key, the"
        " quota or the model's name; timeout and unavailable are the provider or the network.",
        expr=f"{faults} > {slo.LLM_FAULT_SHARE:g}",
        operands=(faults,),
        page="admirer-answers",
        hold=hold,
    )


_COST = aggregate("sum", f"increase({select(LLM_COST_DOLLARS, SCOPE)}[1h])", SCOPE)

LLM_OVER_BUDGET = Alert(
    name="AdmirerLlmOverBudget",
    severity="ticket",
    summary=f'The answerer of {APP} spent {{{{ $value | printf "%.0f" }}}} dollars in an hour; its'
    f" budget is {slo.LLM_DOLLARS_PER_HOUR:g}.",
    description="Compare requests and tokens per prompt with yesterday (Answers). More requests:"
    " find the caller. Longer prompts: n_shot or the examples grew.",
    expr=f"{_COST} > {slo.LLM_DOLLARS_PER_HOUR:g}",
    operands=(_COST,),
    page="admirer-answers",
)

_DEGRADED = stages.degraded_share(replace(SCOPE, window="10m"))

DEGRADED = Alert(
    name="AdmirerAnswersDegraded",
    severity="ticket",
    summary=f"{{{{ $value | humanizePercentage }}}} of the answers of {APP} were made without the"
    " {{ $labels.stage }}.",
    description="Callers get degraded answers instead of errors. See the stage's errors and queue"
    " (Stages), then its log.",
    expr=f"{_DEGRADED} > {slo.DEGRADED_SHARE:g}",
    operands=(_DEGRADED,),
    page="admirer-answers",
    hold="10m",
)


def groups() -> tuple[Group, ...]:
    """Return the alerts on answers."""
    return (Group("admirer-answers", (llm_failing(), LLM_OVER_BUDGET, DEGRADED)),)

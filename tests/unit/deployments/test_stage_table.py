"""The table of stages fits all that cannot read it."""

import inspect
from importlib import import_module

import pytest

from deployments.stages import STAGES, Stage
from load_tests.client.messages import STAGE_OF_TIMING
from serve.settings import AppSettings, Degrade


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_a_module_and_a_class_of_its_name_with_the_method_that_is_called(
    stage: Stage,
) -> None:
    of = getattr(import_module(f"deployments.{stage}"), stage.capitalize())
    entry = STAGES[stage]
    assert list(inspect.signature(getattr(of, entry.method)).parameters)[-1] == "call"
    assert inspect.signature(of).parameters["settings"].annotation is entry.settings
    assert AppSettings.model_fields[stage].annotation is entry.settings


def test_only_what_the_table_calls_optional_can_be_done_without() -> None:
    optional = {stage for stage, entry in STAGES.items() if entry.is_optional}
    assert set(Degrade.model_fields) - {"timeout_s"} == optional
    assert optional


def test_clients_know_each_stage_by_its_timing() -> None:
    assert {entry.method: stage for stage, entry in STAGES.items()} == STAGE_OF_TIMING

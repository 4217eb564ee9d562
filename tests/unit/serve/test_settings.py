from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from serve.settings import AppSettings

UNITS = {
    "_s": "seconds",
    "_bytes": "bytes",
    "_pixels": "pixels",
    "_edge": "pixels",
    "_tokens": "tokens",
    "_characters": "characters",
    "_dollars_per_million": "dollars",
}
"""Word that a description needs by the end of the setting's name."""


def test_the_environment_overrides_the_config_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIRER_LIMITS__TIMEOUT_S", "7")
    settings = AppSettings.model_validate({"limits": {"timeout_s": 9, "max_edge": 640}})
    assert settings.limits.timeout_s == 7
    assert settings.limits.max_edge == 640


def test_a_mistyped_variable_of_a_stage_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIRER_CAPTIONER__NUM_BEANS", "3")
    with pytest.raises(ValidationError, match="num_beans"):
        AppSettings()


def test_what_kubernetes_injects_for_a_service_called_admirer_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = AppSettings()
    monkeypatch.setenv("ADMIRER_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("ADMIRER_SERVICE_HOST", "10.0.0.1")
    assert AppSettings() == without


def test_a_key_is_not_shown_where_settings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIRER_ANSWERER__OPENAI__API_KEY", "sk-secret")
    settings = AppSettings()
    assert settings.answerer.openai.api_key is not None
    assert "sk-secret" not in repr(settings)


def test_a_request_cannot_embed_more_than_may_wait() -> None:
    with pytest.raises(ValidationError, match="max_embeddings"):
        AppSettings.model_validate(
            {"limits": {"max_embeddings": 33}, "retriever": {"batch": {"max_waiting": 32}}}
        )


def leaves(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every setting that is no class itself, the entries of mappings included."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        classes = [kind for kind in (inner, *get_args(inner)) if isinstance(kind, type)]
        nested = [kind for kind in classes if issubclass(kind, BaseModel)]
        for kind in nested:
            yield from leaves(kind, f"{path}{name}.")
        if inner not in nested:
            yield f"{path}{name}", field


def test_every_description_stands_alone_and_names_its_unit() -> None:
    found = list(leaves(AppSettings))
    assert len(found) > 100
    assert {"limits.timeout_s", "answerer.prices.prompt_dollars_per_million"} <= dict(found).keys()
    assert [problem for name, field in found if (problem := _problem(name, field))] == []
    ends = [end for end in UNITS if any(name.endswith(end) for name, _ in found)]
    assert ends == list(UNITS)


def _problem(name: str, field: FieldInfo) -> str:
    """Return what is wrong with a description; empty for nothing."""
    text = field.description or ""
    if not text.endswith("."):
        return f"{name}: no sentence: {text!r}"
    if not text[0].isupper() or text.startswith(("Of ", "That ", "By ")):
        return f"{name}: does not stand alone: {text!r}"
    for end, unit in UNITS.items():
        if name.endswith(end) and unit not in text.lower():
            return f"{name}: does not say {unit}: {text!r}"
    return ""


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("max_bytes", ""),
        ("max_bytes", "Of an encoded photo, in bytes."),
        ("max_concurrent", "That one replica works on."),
        ("prices", "By the name of the model."),
        ("max_bytes", "most bytes of a photo."),
        ("max_bytes", "Largest encoded photo."),
        ("timeout_s", "Longest wait for a stage."),
    ],
)
def test_the_check_of_descriptions_sees_what_it_is_for(name: str, description: str) -> None:
    assert _problem(name, FieldInfo(annotation=int, description=description))

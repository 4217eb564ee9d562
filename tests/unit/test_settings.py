import pytest
from pydantic import ValidationError

from serve.settings import AppSettings


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

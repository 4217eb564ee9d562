from pathlib import Path

import pytest

from models.chat.template import ChatTemplate


def template(folder: Path, source: str) -> ChatTemplate:
    (folder / "chat_template.jinja").write_text(source)
    return ChatTemplate(folder)


def test_a_chat_that_the_template_refuses_is_a_value_error(tmp_path: Path) -> None:
    refusing = template(tmp_path, "{{ raise_exception('roles must alternate') }}")
    with pytest.raises(ValueError, match="roles must alternate"):
        refusing.render([{"role": "user", "content": "hello"}])


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__['json'] }}",
    ],
)
def test_a_template_cannot_reach_python(tmp_path: Path, attack: str) -> None:
    with pytest.raises(ValueError, match="refuses"):
        template(tmp_path, attack).render([{"role": "user", "content": "hello"}])


def test_a_checkpoint_without_a_template_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no chat template"):
        ChatTemplate(tmp_path)

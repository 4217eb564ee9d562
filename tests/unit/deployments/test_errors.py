import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

from fastapi.testclient import TestClient

import deployments
import serve
from dashboards import slo
from deployments.errors import (
    CLIENT_GONE,
    CODES,
    INTERNAL,
    INTERRUPTED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    AdmirerError,
)

CHECKOUT = Path(__file__).parents[3]
WITHOUT_CLASS = {NOT_FOUND, METHOD_NOT_ALLOWED, CLIENT_GONE, INTERRUPTED, INTERNAL}
"""Codes of no AdmirerError."""
NEEDS_RAY = {"serve.app", "serve.ingress"}


def classes(of: type[AdmirerError] = AdmirerError) -> Iterator[type[AdmirerError]]:
    """Every kind of error, but for those that tests make up."""
    for kind in of.__subclasses__():
        if kind.__module__.startswith(("deployments.", "serve.")):
            yield kind
        yield from classes(kind)


def test_every_error_of_ours_has_its_own_code_in_the_table_and_none_is_left_over() -> None:
    for package in (deployments, serve):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # A module that is run when it is imported, or that needs Ray, defines no error.
            if module.name not in NEEDS_RAY and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found = list(classes())
    codes = [kind.code for kind in found]
    assert len(codes) > 10
    assert sorted({*codes, *WITHOUT_CLASS}) == sorted([*codes, *WITHOUT_CLASS])
    assert {*codes, *WITHOUT_CLASS} == set(CODES)
    assert {kind.__module__ for kind in found} == {"deployments.errors"}


def test_an_error_survives_pickling() -> None:
    for kind in classes():
        error = kind("What is wrong.", field="image")
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert type(again) is kind
        assert (again.message, again.field, again.code) == ("What is wrong.", "image", kind.code)


def test_faults_are_what_is_not_the_callers() -> None:
    assert {code for code, kind in CODES.items() if kind.is_fault} == set(slo.FAULTS)
    assert {"overloaded", "deadline_exceeded", "interrupted"} <= set(slo.FAULTS)
    assert not {"bad_image", "client_gone", "not_found"} & set(slo.FAULTS)


def test_the_document_of_codes_is_the_table() -> None:
    lines = (CHECKOUT / "docs" / "errors.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert rows == [
        f"| `{code}` | {kind.status} | {kind.title} | {'yes' if kind.is_fault else 'no'} |"
        for code, kind in CODES.items()
    ]


def test_every_documented_response_names_codes_of_its_status(client: TestClient) -> None:
    told: dict[str, set[str]] = {}
    for path, operations in client.get("/openapi.json").json()["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if "application/problem+json" not in response["content"]:
                    continue
                codes = re.findall(r"\w+", response["description"].removeprefix("Codes: "))
                assert {CODES[code].status for code in codes} == {int(status)}
                told.setdefault(path, set()).update(codes)
    assert {"bad_image", "answerer_failed", "bad_question"} <= told["/v1/answers"]
    assert told["/v1/feedback"] == {
        "bad_request", "body_too_large", "unsupported_media_type", "overloaded",
        "deadline_exceeded",
    }  # fmt: skip

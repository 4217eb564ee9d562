"""Answers three questions while Ray's log of this replica, or all that it may print, has no room.

Prints the statuses; the second question runs into an unexpected error.
"""

import json
import os
import sys
from pathlib import Path

from fastapi.testclient import TestClient
from ray.serve._private.common import ServeComponentType
from ray.serve._private.logging_utils import configure_component_logger
from ray.serve.schema import LoggingConfig
from support.api_app import PHOTO, QUESTION
from support.fake_stages import FakeStages, failing

from models.bundle import Bundle
from serve.api.fastapi_app import create_api
from serve.settings import AppSettings


def main(logs: Path) -> None:
    (logs / "replica_admirer_ingress_full.log").symlink_to("/dev/full")
    configure_component_logger(
        component_name="admirer_ingress",
        component_id="full",
        component_type=ServeComponentType.REPLICA,
        logging_config=LoggingConfig(encoding="JSON", logs_dir=str(logs)),
        max_bytes=1000,
        backup_count=1,
    )
    stages = FakeStages()
    client = TestClient(
        create_api(stages.pipeline(), AppSettings(), Bundle.load("bundles/demo")),
        raise_server_exceptions=False,
    )
    statuses = []
    for number in range(3):
        stages.instead = {"answerer": failing(ZeroDivisionError())} if number == 1 else {}
        files, data = {"image": PHOTO}, {"question": QUESTION}
        statuses.append(client.post("/v1/answers", files=files, data=data).status_code)
    os.write(1, json.dumps(statuses).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Ask questions until standard input ends, and print the result of each as JSON.

It runs in a pod beside the release, in the app's own image, because only from there is a Service
what it is for a caller: many addresses of which one can vanish. Only this folder's tests start it,
with the client room of `load_tests` beside it.

Usage: pod_script.py URL SECONDS CALLERS RETRY_FOR_S. Each question has a connection of its own, as
curl would ask. A retry is what any caller may do, since a question changes nothing: after a broken
connection, or after 502, 503 or 504.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from load_tests.client.questions import read_questions
from load_tests.client.traffic import Client, closed

PHOTOS = "/app/bundles/demo/photos"
TIMEOUT_S = 60
RETRIED = {0, 502, 503, 504}
"""0 stands for a connection that broke or could not be made."""


def ask(client: Client, retry_for_s: float) -> dict[str, Any]:
    """Return the statuses and seconds of one question, and its answer or what was wrong."""
    began, statuses = time.monotonic(), []
    while True:
        reply = client.ask()
        statuses.append(reply.status)
        if reply.status not in RETRIED or time.monotonic() - began >= retry_for_s:
            break
        time.sleep(0.5)
    words = reply.body().get("answer") or reply.text[:300]
    return {"statuses": statuses, "seconds": time.monotonic() - began, "words": words}


def main(
    url: str, seconds: str, callers: str, retry_for_s: str, photos: str = PHOTOS
) -> list[dict[str, Any]]:
    """Ask until standard input ends, or the time is up; return the result of each question."""
    stop = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with Client(url, read_questions(Path(photos)), keep_alive=False, timeout_s=TIMEOUT_S) as client:
        return closed(
            lambda: ask(client, float(retry_for_s)),
            callers=int(callers),
            seconds=float(seconds),
            stop=stop,
        )


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
    sys.stdout.flush()

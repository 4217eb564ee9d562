"""Ask questions until standard input ends, and print as JSON what became of each.

It runs in a pod beside the release, in the app's own image, because only from there is a Service
what it is for a caller: many addresses of which one can vanish. Only this folder's tests start it.

Usage: questions.py URL SECONDS CALLERS RETRY_FOR_S. Each question has a connection of its own, as
curl would ask. A retry is what any caller may do, since a question changes nothing: after a broken
connection, or after 502, 503 or 504.
"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PHOTOS = Path("/app/bundles/demo/photos")
RETRIED = {0, 502, 503, 504}
"""0 stands for a connection that broke or could not be made."""


class Caller(threading.Thread):
    """Asks one question after the other."""

    def __init__(self, url: str, retry_for_s: float, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.asked: list[dict[str, Any]] = []
        self._url, self._retry_for_s, self._stop_asking = url, retry_for_s, stop

    def run(self) -> None:
        body, kind = multipart()
        while not self._stop_asking.is_set():
            began, statuses = time.monotonic(), []
            while True:
                status, words = attempt(self._url, body, kind)
                statuses.append(status)
                if status not in RETRIED or time.monotonic() - began >= self._retry_for_s:
                    break
                time.sleep(0.5)
            self.asked.append(
                {"statuses": statuses, "seconds": time.monotonic() - began, "words": words}
            )


def attempt(url: str, body: bytes, kind: str) -> tuple[int, str]:
    """Return the status, and the answer or what was wrong."""
    request = urllib.request.Request(  # noqa: S310 - the tests' own address
        f"{url}/v1/answers", body, {"Content-Type": kind}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.status, json.load(response)["answer"]
    except urllib.error.HTTPError as error:
        return error.code, error.read(300).decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, f"{type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001 - http.client's own errors share no other parent
        return 0, f"{type(error).__name__}: {error}"


def multipart() -> tuple[bytes, str]:
    """Return the bundle's first sample question as a form, and its content type."""
    row = json.loads((PHOTOS / "questions.jsonl").read_text().splitlines()[0])
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    photo = (PHOTOS / row["photo"]).read_bytes()
    body = b"".join(
        [
            edge + b'"question"\r\n\r\n' + row["question"].encode() + b"\r\n",
            edge + b'"image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n',
            photo + b"\r\n--edge--\r\n",
        ]
    )
    return body, "multipart/form-data; boundary=edge"


def main(url: str, seconds: str, callers: str, retry_for_s: str) -> None:
    """Ask until there is nobody to ask for, or the time is up."""
    stop = threading.Event()
    started = [Caller(url, float(retry_for_s), stop) for _ in range(int(callers))]
    for caller in started:
        caller.start()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    stop.wait(float(seconds))
    stop.set()
    for caller in started:
        caller.join(timeout=300)
    asked = [question for caller in started for question in caller.asked]
    sys.stdout.write(json.dumps(asked))
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""`helm test`: ask one real question over HTTP, through the Service.

Usage: ask.py ADDRESS BUNDLE SECONDS, in the app's own image. A bundle with sample photos is asked
about one of them; any other about a grey square, where only the status counts.
"""

import base64
import json
import struct
import sys
import time
import urllib.error
import urllib.request
import zlib

from models.bundle import Bundle, BundleError


def main(address: str, bundle: str, seconds: str) -> int:
    """Return 0 once a question was answered, 1 if none was in time."""
    photo, text = question(bundle)
    body = json.dumps({"image": base64.b64encode(photo).decode(), "question": text}).encode()
    deadline = time.monotonic() + float(seconds)
    while True:
        try:
            say(f"{text} {ask(address, body)}")
        except (OSError, ValueError, KeyError) as error:
            say(f"no answer from {address}: {error}")
        else:
            return 0
        if time.monotonic() > deadline:
            return 1
        time.sleep(2)


def ask(address: str, body: bytes) -> str:
    """Return the answer.

    Raises:
        OSError: Nobody answered, or with another status than 200.
        KeyError: The answer is not one of admirer's.
    """
    request = urllib.request.Request(  # noqa: S310 - the chart writes the address
        f"{address}/v1/answers", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return str(json.load(response)["answer"])


def question(bundle: str) -> tuple[bytes, str]:
    """Return the bundle's sample question, or one about a grey square where it has none."""
    try:
        sample = Bundle.load(bundle).sample_question()
    except BundleError:
        sample = None  # a worker has it, or the app would not be ready
    if sample is None:
        return grey_square(64), "what colour is this?"
    return sample.photo.read_bytes(), sample.text


def grey_square(edge: int) -> bytes:
    """Return a PNG, 8 bits of grey."""
    rows = (b"\x00" + b"\x80" * edge) * edge
    header = struct.pack(">IIBBBBB", edge, edge, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def say(words: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

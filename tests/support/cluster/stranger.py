"""What somebody else's process gets from Ray's ports: a pickle is sent to each, and loaded or not.

Also runs alone, with nothing of ours, in a pod that reads its orders from standard input.
"""

import json
import os
import pickle
import sys
from typing import Any

import grpc

STREAMING = (
    "/ray.serve.ASGIService/HandleRequestStreaming",
    "/ray.serve.ASGIService/HandleRequestWithRejectionStreaming",
)
SERVE = (
    "/ray.serve.ASGIService/HandleRequest",
    "/ray.serve.ASGIService/HandleRequestWithRejection",
    *STREAMING,
)
"""Between replicas; each loads the pickle in the first field of its request."""

CORE = ("/ray.rpc.NodeInfoGcsService/GetAllNodeInfo", "/ray.rpc.NodeManagerService/GetNodeStats")
"""Of GCS and raylet; an empty request is a good one."""


class _Payload:
    """Makes a folder where it is loaded."""

    def __init__(self, marker: str) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._marker,)


def answers(host: str, port: int, marker: str, token: str | None) -> dict[str, str]:
    """Call every method on a port; return the name of each one's gRPC status.

    Args:
        marker: Folder that the pickle makes where it is loaded; at most 90 letters.
        token: Sent along, unless it is None.
    """
    pickled = pickle.dumps(_Payload(marker))
    assert len(pickled) < 128, "its length would need a second byte"
    request = bytes([0x0A, len(pickled)]) + pickled
    metadata = [("authorization", f"Bearer {token}")] if token else None
    found = {}
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        for method in (*SERVE, *CORE):
            sent = request if method in SERVE else b""
            try:
                if method in STREAMING:
                    list(channel.unary_stream(method)(sent, timeout=5, metadata=metadata))
                else:
                    channel.unary_unary(method)(sent, timeout=5, metadata=metadata)
                found[method] = "OK"
            except grpc.RpcError as error:
                found[method] = error.code().name
    return found


def main() -> None:
    """Answer orders `{"host", "ports", "marker", "token"}`; a marker per port, with its number."""
    orders = json.load(sys.stdin)
    host, marker, token = orders["host"], orders["marker"], orders["token"]
    found = {port: answers(host, port, f"{marker}-{port}", token) for port in orders["ports"]}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

"""The HTTP API: requests, responses and problem documents."""

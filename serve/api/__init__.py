"""The HTTP API: what a request may be, what it is answered, and how failures are told."""

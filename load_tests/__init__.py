"""Load tests: people who ask, and what the answers to them say of capacity.

An HTTP client like any other: nothing of the app is imported, so any deployment of it can be asked.
"""

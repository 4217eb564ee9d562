"""Grafana pages and Prometheus rules as code: what is seen, and what wakes somebody up.

A development package: it writes the JSON and YAML in the chart, and nothing that serves imports it.
Of the rest it may import `deployments.metrics` only, so that a renamed metric breaks a test here
and not a graph at night.
"""

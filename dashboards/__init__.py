"""Grafana dashboards and Prometheus rules as code.

A development package: it writes the JSON and YAML in the chart, and nothing that serves imports it.
It imports only `deployments.metrics` of ours, so that a renamed metric breaks a test and not a
graph in production.
"""

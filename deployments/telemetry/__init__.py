"""Telemetry of the app: metrics, traces and logs."""

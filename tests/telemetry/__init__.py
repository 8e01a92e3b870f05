"""Telemetry as it leaves the process, read by a stand-in for Application Insights."""

"""Serves the report's page of running sweeps on this machine: what changes as events, control as buttons."""

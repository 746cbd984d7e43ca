"""Writes the page of a report: HTML, data, scripts and style sheets."""

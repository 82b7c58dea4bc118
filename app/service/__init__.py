"""Serves the page, its API and its MCP tools to strangers: who may ask, how much, and how it comes up and goes down."""

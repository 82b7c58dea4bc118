"""A Document becomes a Summary: windows, drafts, evidence."""

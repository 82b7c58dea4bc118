"""How good summaries are: metrics, baselines, sets of papers, samples to read."""

"""A library of papers, summarized by many workers into one table: `python -m app.corpus`. The only room with Ray."""

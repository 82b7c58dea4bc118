"""The text of papers: sentences, the part that is read of a long one, papers on disk."""

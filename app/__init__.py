"""The product: a paper goes in, its summary, the evidence for it and the attention behind it come out."""

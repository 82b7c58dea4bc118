"""LongT5 in JAX and Flax."""

"""Tests of longt5.flax; skipped where JAX is not installed."""

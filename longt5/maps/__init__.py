"""Attention maps: captured weights, what is drawn of them, and statistics of heads."""

from longt5.maps.maps import (
    AttentionMap,
    HeadStatistics,
    WindowAttention,
    band_map,
    cross_attention_heads,
    cross_map,
    global_map,
    head_statistics,
    window_attention,
)

__all__ = [
    "AttentionMap",
    "HeadStatistics",
    "WindowAttention",
    "band_map",
    "cross_attention_heads",
    "cross_map",
    "global_map",
    "head_statistics",
    "window_attention",
]

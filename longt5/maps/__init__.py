"""Attention maps: captured weights, what is drawn of them, and statistics of heads."""

from longt5.maps.maps import (
    AttentionMap,
    band_map,
    cross_attention_heads,
    cross_map,
    global_map,
)
from longt5.maps.statistics import HeadStatistics, head_statistics
from longt5.maps.weights import TeacherForced, teacher_force

__all__ = [
    "AttentionMap",
    "HeadStatistics",
    "TeacherForced",
    "band_map",
    "cross_attention_heads",
    "cross_map",
    "global_map",
    "head_statistics",
    "teacher_force",
]

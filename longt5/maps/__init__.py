"""Attention maps: captured weights, what is drawn of them, and statistics of heads."""

from longt5.maps.maps import (
    AttentionMap,
    band_map,
    cross_attention_heads,
    cross_map,
    global_map,
    self_map,
)
from longt5.maps.names import HeadName, name_heads
from longt5.maps.statistics import HeadStatistics, decoder_statistics, head_statistics
from longt5.maps.weights import TeacherForced, teacher_force

__all__ = [
    "AttentionMap",
    "HeadName",
    "HeadStatistics",
    "TeacherForced",
    "band_map",
    "cross_attention_heads",
    "cross_map",
    "decoder_statistics",
    "global_map",
    "head_statistics",
    "name_heads",
    "self_map",
    "teacher_force",
]

"""Attention maps: captured weights, what is drawn of them, and statistics of heads, ablation."""

from longt5.maps.ablation import log_probabilities, occlusion, written_log_probabilities
from longt5.maps.flow import rollout, source_shares, value_zeroing
from longt5.maps.maps import (
    AttentionMap,
    band_map,
    cross_attention_heads,
    cross_map,
    global_map,
    global_spans,
    self_map,
    unit_spans,
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
    "global_spans",
    "head_statistics",
    "log_probabilities",
    "name_heads",
    "occlusion",
    "rollout",
    "self_map",
    "source_shares",
    "teacher_force",
    "unit_spans",
    "value_zeroing",
    "written_log_probabilities",
]

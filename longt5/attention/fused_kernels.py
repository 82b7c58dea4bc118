"""The Triton kernels of `longt5.attention.fused`, which imports this module when it first needs it.

A score is `query @ key + bias`, not scaled, and counted in powers of two: `exp2` is what a GPU computes. Weights are
computed again in each kernel of the backward pass, from the log-sum-exp that the forward pass leaves (Dao et al. 2022,
arXiv 2205.14135). Padded queries have an infinite one, so that all their weights are zero.

Tensors come as pointers and strides; a head's numbers lie side by side. `row` is a pair of batch and head. Offsets
within a row are int32, those of rows int64.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any

import triton
import triton.language as tl

# No kernel is compiled anew for another value of these. (The multiples of 16 among the strides it has to know.)
OPEN = (
    "ids_batch batches length heads radius reach num_globals band_width count chunk threshold scale".split()
)

LOG2_E: tl.constexpr = tl.constexpr(1.4426950408889634)


def _kernel(function: Callable[..., None]) -> Any:
    named = [name for name in signature(function).parameters if name in OPEN]
    return triton.jit(function, do_not_specialize=named)


@triton.jit
def _load_rows(pointer, positions, stride, exists, D: tl.constexpr):
    """(positions, D), zeros where none exists."""
    numbers = tl.arange(0, D)
    return tl.load(pointer + positions[:, None] * stride + numbers[None, :], mask=exists[:, None], other=0.0)


@triton.jit
def _mixed(x):
    """uint32 whose every bit hangs on all bits of `x`: the finalizer of MurmurHash3 (Appleby 2011)."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    return x ^ (x >> 16)


@triton.jit
def _kept(seed, row, queries, keys, threshold, IS_GLOBAL: tl.constexpr):
    """0.0 or 1.0 for each pair of `queries` and `keys`, which broadcast: the weights that dropout leaves.

    A weight's random number hangs on nothing but its row, query and key, so that tiles of every size and orientation
    find the same, entry by entry: what is drawn for several at once and then rearranged came out wrong on an H100
    where the tile is transposed (Triton 3.6).
    """
    kind: tl.constexpr = 0x9E3779B9 if IS_GLOBAL else 0x7F4A7C15
    of_row = _mixed(_mixed(seed.to(tl.uint32) ^ kind) ^ (seed >> 32).to(tl.uint32))
    of_query = _mixed(_mixed(of_row ^ row.to(tl.uint32)) ^ queries.to(tl.uint32))
    drawn = _mixed(of_query + keys.to(tl.uint32) * 0x9E3779B1)
    return ((drawn >> 8).to(tl.int32) >= threshold).to(tl.float32)


@triton.jit
def _attended_globals(last_ids, batch, num_globals, HAS_GLOBALS: tl.constexpr, HAS_TEXT: tl.constexpr):
    """How many of the globals may be attended to: those up to the last one that has text."""
    count = 0
    if HAS_GLOBALS:
        count = num_globals
        if HAS_TEXT:
            count = tl.load(last_ids + batch).to(tl.int32) + 1
    return count


@triton.jit
def _blocks(ids, queries, exists, GROUP: tl.constexpr, QUERIES: tl.constexpr):
    """(QUERIES / GROUP,): the global block that all text of a group is of. Its padding, at -1, has no weights."""
    own = tl.load(ids + queries, mask=exists, other=-1).to(tl.int32)
    return tl.max(tl.reshape(own, (QUERIES // GROUP, GROUP)), axis=1)


@triton.jit
def _global_bias(
    global_bias, keys, blocks, there, GROUP: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr
):
    """(QUERIES, KEYS) in float32: read once for each group of queries."""
    bias = tl.load(
        global_bias + (keys[None, :] - blocks[:, None]), mask=there[None, :], other=float("-inf")
    ).to(tl.float32)
    bias = tl.broadcast_to(bias[:, None, :], (QUERIES // GROUP, GROUP, KEYS))
    return tl.reshape(bias, (QUERIES, KEYS))


@triton.jit
def _softmax_step(
    scores,
    values,
    highest,
    total,
    attended,
    random,
    row,
    queries,
    keys,
    threshold,
    IS_GLOBAL: tl.constexpr,
    DROPOUT: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One tile of the online softmax (Milakov and Gimelshein 2018)."""
    new_highest = tl.maximum(highest, tl.max(scores, axis=1))
    reference = tl.where(new_highest == float("-inf"), 0.0, new_highest)
    weights = tl.exp2(scores - reference[:, None])
    shrink = tl.exp2(highest - reference)
    total = total * shrink + tl.sum(weights, axis=1)
    if DROPOUT:
        weights *= _kept(random, row, queries[:, None], keys[None, :], threshold, IS_GLOBAL)
    attended = attended * shrink[:, None]
    attended = tl.dot(weights.to(values.dtype), values, attended, input_precision=PRECISION)
    return new_highest, total, attended


@_kernel
def forward_kernel(
    query,
    key,
    value,
    band_bias,
    global_key,
    global_value,
    global_bias,
    ids,
    last_ids,
    text,
    seed,
    output,
    log_sums,
    query_batch,
    query_row,
    query_head,
    key_batch,
    key_row,
    key_head,
    value_batch,
    value_row,
    value_head,
    global_key_batch,
    global_key_row,
    global_key_head,
    global_value_batch,
    global_value_row,
    global_value_head,
    ids_batch,
    length,
    heads,
    radius,
    reach,
    num_globals,
    threshold,
    scale,
    HAS_GLOBALS: tl.constexpr,
    HAS_TEXT: tl.constexpr,
    DROPOUT: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Output (batch, length, heads, D) and log-sum-exps (batch, heads, length) of QUERIES queries of one row."""
    first = tl.program_id(0) * QUERIES
    row = tl.program_id(1)
    batch = (row // heads).to(tl.int64)
    head = (row % heads).to(tl.int64)
    queries = first + tl.arange(0, QUERIES)
    exists = queries < length
    query += batch * query_batch + head * query_head
    key += batch * key_batch + head * key_head
    value += batch * value_batch + head * value_head
    band_bias += head * (2 * radius + 1)
    text += batch * length
    q = _load_rows(query, queries, query_row, exists, D)
    random = 0
    if DROPOUT:
        random = tl.load(seed)

    last_key = tl.minimum(first + QUERIES + radius, length)
    attended_globals = _attended_globals(last_ids, batch, num_globals, HAS_GLOBALS, HAS_TEXT)
    is_text = exists
    if HAS_TEXT:
        is_text = tl.load(text + queries, mask=exists, other=0) != 0
        has_text = tl.max(is_text.to(tl.int32), axis=0)
        last_key *= has_text  # no loop runs where all is padding
        attended_globals *= has_text

    highest = tl.full((QUERIES,), float("-inf"), dtype=tl.float32)
    total = tl.zeros((QUERIES,), dtype=tl.float32)
    attended = tl.zeros((QUERIES, D), dtype=tl.float32)
    if HAS_GLOBALS:
        global_key += batch * global_key_batch + head * global_key_head
        global_value += batch * global_value_batch + head * global_value_head
        global_bias += head * (2 * num_globals) + num_globals - 1
        blocks = _blocks(ids + batch * ids_batch, queries, exists, GROUP, QUERIES)
        for start in range(0, attended_globals, KEYS):
            keys = start + tl.arange(0, KEYS)
            there = keys < attended_globals
            k = _load_rows(global_key, keys, global_key_row, there, D)
            v = _load_rows(global_value, keys, global_value_row, there, D)
            scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
            bias = _global_bias(global_bias, keys, blocks, there, GROUP, QUERIES, KEYS)
            scores = (scores + bias) * LOG2_E
            highest, total, attended = _softmax_step(
                scores,
                v,
                highest,
                total,
                attended,
                random,
                row,
                queries,
                keys,
                threshold,
                True,
                DROPOUT,
                PRECISION,
            )

    for start in range(tl.maximum(first - reach, 0), last_key, KEYS):
        keys = start + tl.arange(0, KEYS)
        there = keys < length
        k = _load_rows(key, keys, key_row, there, D)
        v = _load_rows(value, keys, value_row, there, D)
        if HAS_TEXT:
            there = tl.load(text + keys, mask=there, other=0) != 0
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        offsets = keys[None, :] - queries[:, None] + radius
        near = (offsets >= 0) & (offsets <= 2 * radius) & there[None, :]
        bias = tl.load(band_bias + offsets, mask=near, other=float("-inf"))
        scores = (scores + bias.to(tl.float32)) * LOG2_E
        highest, total, attended = _softmax_step(
            scores,
            v,
            highest,
            total,
            attended,
            random,
            row,
            queries,
            keys,
            threshold,
            False,
            DROPOUT,
            PRECISION,
        )

    is_text = is_text & (total > 0.0)
    total = tl.where(is_text, total, 1.0)
    factor = 1.0 / total
    if DROPOUT:
        factor = factor * scale
    attended = tl.where(is_text[:, None], attended * factor[:, None], 0.0)
    output += (batch * length * heads + head) * D
    numbers = tl.arange(0, D)
    tl.store(
        output + queries[:, None] * (heads * D) + numbers[None, :],
        attended.to(output.dtype.element_ty),
        mask=exists[:, None],
    )
    log_sum = tl.where(is_text, highest + tl.log2(total), float("inf"))
    tl.store(log_sums + row.to(tl.int64) * length + queries, log_sum, mask=exists)


@_kernel
def query_gradients_kernel(
    query,
    key,
    value,
    band_bias,
    global_key,
    global_value,
    global_bias,
    ids,
    last_ids,
    text,
    seed,
    output,
    log_sums,
    gradient,
    means,
    of_query,
    of_band_bias,
    of_global_bias,
    query_batch,
    query_row,
    query_head,
    key_batch,
    key_row,
    key_head,
    value_batch,
    value_row,
    value_head,
    global_key_batch,
    global_key_row,
    global_key_head,
    global_value_batch,
    global_value_row,
    global_value_head,
    gradient_batch,
    gradient_row,
    gradient_head,
    ids_batch,
    length,
    heads,
    radius,
    reach,
    num_globals,
    band_width,
    threshold,
    scale,
    HAS_GLOBALS: tl.constexpr,
    HAS_TEXT: tl.constexpr,
    DROPOUT: tl.constexpr,
    OF_BAND_BIAS: tl.constexpr,
    OF_GLOBAL_BIAS: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of QUERIES queries of one row, and what goes through their scores to the biases.

    Writes:
        means: (batch, heads, length), each query's mean gradient of its weights, by the weights.
        of_query: (batch, length, heads, D).
        of_band_bias: (batch, heads, length, band_width), the gradients of the scores by offset, where a key lies.
        of_global_bias: (batch, heads, length / GROUP, 2 * globals), those by difference of blocks, where a global lies;
            GROUP queries are of one global block.
    """
    first = tl.program_id(0) * QUERIES
    row = tl.program_id(1)
    batch = (row // heads).to(tl.int64)
    head = (row % heads).to(tl.int64)
    long_row = row.to(tl.int64)
    queries = first + tl.arange(0, QUERIES)
    numbers = tl.arange(0, D)
    exists = queries < length
    query += batch * query_batch + head * query_head
    key += batch * key_batch + head * key_head
    value += batch * value_batch + head * value_head
    gradient += batch * gradient_batch + head * gradient_head
    output += (batch * length * heads + head) * D
    band_bias += head * (2 * radius + 1)
    of_band_bias += long_row * length * band_width
    text += batch * length
    q = _load_rows(query, queries, query_row, exists, D)
    of_output = _load_rows(gradient, queries, gradient_row, exists, D)
    attended = _load_rows(output, queries, heads * D, exists, D)
    mean = tl.sum(of_output.to(tl.float32) * attended.to(tl.float32), axis=1)
    tl.store(means + long_row * length + queries, mean, mask=exists)
    log_sum = tl.load(log_sums + long_row * length + queries, mask=exists, other=float("inf"))
    random = 0
    if DROPOUT:
        random = tl.load(seed)

    last_key = tl.minimum(first + QUERIES + radius, length)
    attended_globals = _attended_globals(last_ids, batch, num_globals, HAS_GLOBALS, HAS_TEXT)
    if HAS_TEXT:
        has_text = tl.max(tl.load(text + queries, mask=exists, other=0).to(tl.int32), axis=0)
        last_key *= has_text
        attended_globals *= has_text

    total = tl.zeros((QUERIES, D), dtype=tl.float32)
    if HAS_GLOBALS:
        global_key += batch * global_key_batch + head * global_key_head
        global_value += batch * global_value_batch + head * global_value_head
        global_bias += head * (2 * num_globals) + num_globals - 1
        blocks = _blocks(ids + batch * ids_batch, queries, exists, GROUP, QUERIES)
        groups = first // GROUP + tl.arange(0, QUERIES // GROUP)
        num_groups = (length + GROUP - 1) // GROUP
        of_global_bias += long_row * num_groups * (2 * num_globals) + num_globals - 1
        for start in range(0, attended_globals, KEYS):
            keys = start + tl.arange(0, KEYS)
            there = keys < attended_globals
            k = _load_rows(global_key, keys, global_key_row, there, D)
            v = _load_rows(global_value, keys, global_value_row, there, D)
            scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
            bias = _global_bias(global_bias, keys, blocks, there, GROUP, QUERIES, KEYS)
            weights = tl.exp2((scores + bias) * LOG2_E - log_sum[:, None])
            of_weights = tl.dot(of_output, tl.trans(v), input_precision=PRECISION)
            if DROPOUT:
                of_weights *= _kept(random, row, queries[:, None], keys[None, :], threshold, True) * scale
            of_scores = weights * (of_weights - mean[:, None])
            total = tl.dot(of_scores.to(k.dtype), k, total, input_precision=PRECISION)
            if OF_GLOBAL_BIAS:
                sums = tl.sum(tl.reshape(of_scores, (QUERIES // GROUP, GROUP, KEYS)), axis=1)
                tl.store(
                    of_global_bias + groups[:, None] * (2 * num_globals) + (keys[None, :] - blocks[:, None]),
                    sums,
                    mask=(groups < num_groups)[:, None] & there[None, :],
                )

    for start in range(tl.maximum(first - reach, 0), last_key, KEYS):
        keys = start + tl.arange(0, KEYS)
        there = keys < length
        k = _load_rows(key, keys, key_row, there, D)
        v = _load_rows(value, keys, value_row, there, D)
        if HAS_TEXT:
            there = tl.load(text + keys, mask=there, other=0) != 0
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        offsets = keys[None, :] - queries[:, None] + radius
        near = (offsets >= 0) & (offsets <= 2 * radius) & there[None, :]
        bias = tl.load(band_bias + offsets, mask=near, other=float("-inf"))
        weights = tl.exp2((scores + bias.to(tl.float32)) * LOG2_E - log_sum[:, None])
        of_weights = tl.dot(of_output, tl.trans(v), input_precision=PRECISION)
        if DROPOUT:
            of_weights *= _kept(random, row, queries[:, None], keys[None, :], threshold, False) * scale
        of_scores = weights * (of_weights - mean[:, None])
        total = tl.dot(of_scores.to(k.dtype), k, total, input_precision=PRECISION)
        if OF_BAND_BIAS:
            tl.store(
                of_band_bias + queries[:, None] * band_width + offsets,
                of_scores.to(of_band_bias.dtype.element_ty),
                mask=near & exists[:, None],
            )

    of_query += (batch * length * heads + head) * D
    tl.store(
        of_query + queries[:, None] * (heads * D) + numbers[None, :],
        total.to(of_query.dtype.element_ty),
        mask=exists[:, None],
    )


@_kernel
def key_gradients_kernel(
    query,
    key,
    value,
    bias,
    ids,
    last_ids,
    text,
    seed,
    log_sums,
    gradient,
    means,
    of_key,
    of_value,
    query_batch,
    query_row,
    query_head,
    key_batch,
    key_row,
    key_head,
    value_batch,
    value_row,
    value_head,
    gradient_batch,
    gradient_row,
    gradient_head,
    ids_batch,
    batches,
    length,
    heads,
    count,
    radius,
    chunk,
    threshold,
    scale,
    IS_GLOBAL: tl.constexpr,
    HAS_TEXT: tl.constexpr,
    DROPOUT: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of KEYS keys and values of one row: of the band, or of the globals from a chunk of the queries.

    Tiles are (keys, queries), so that no weights need to be transposed. `count` keys there are; of_key and of_value
    are (chunks, batch, count, heads, D).
    """
    first = tl.program_id(0) * KEYS
    row = tl.program_id(1)
    part = tl.program_id(2)
    batch = (row // heads).to(tl.int64)
    head = (row % heads).to(tl.int64)
    keys = first + tl.arange(0, KEYS)
    exists = keys < count
    query += batch * query_batch + head * query_head
    key += batch * key_batch + head * key_head
    value += batch * value_batch + head * value_head
    gradient += batch * gradient_batch + head * gradient_head
    log_sums += row.to(tl.int64) * length
    means += row.to(tl.int64) * length
    k = _load_rows(key, keys, key_row, exists, D)
    v = _load_rows(value, keys, value_row, exists, D)
    random = 0
    if DROPOUT:
        random = tl.load(seed)

    there = exists
    if IS_GLOBAL:
        bias += head * (2 * count) + count - 1
        ids += batch * ids_batch
        first_query = part * chunk
        last_query = tl.minimum(first_query + chunk, length)
        if HAS_TEXT:
            there = keys <= tl.load(last_ids + batch).to(tl.int32)
    else:
        bias += head * (2 * radius + 1)
        first_query = tl.maximum(first - radius, 0)
        last_query = tl.minimum(first + KEYS + radius, length)
        if HAS_TEXT:
            there = tl.load(text + batch * length + keys, mask=exists, other=0) != 0
    if HAS_TEXT:
        last_query *= tl.max(there.to(tl.int32), axis=0)

    total_key = tl.zeros((KEYS, D), dtype=tl.float32)
    total_value = tl.zeros((KEYS, D), dtype=tl.float32)
    for start in range(first_query, last_query, QUERIES):
        queries = start + tl.arange(0, QUERIES)
        real = queries < length
        q = _load_rows(query, queries, query_row, real, D)
        of_output = _load_rows(gradient, queries, gradient_row, real, D)
        log_sum = tl.load(log_sums + queries, mask=real, other=float("inf"))
        mean = tl.load(means + queries, mask=real, other=0.0)
        if IS_GLOBAL:
            blocks = _blocks(ids, queries, real, GROUP, QUERIES)
            score_bias = tl.trans(_global_bias(bias, keys, blocks, there, GROUP, QUERIES, KEYS))
        else:
            entries = keys[:, None] - queries[None, :] + radius
            near = there[:, None] & (entries >= 0) & (entries <= 2 * radius)
            score_bias = tl.load(bias + entries, mask=near, other=float("-inf")).to(tl.float32)
        scores = tl.dot(k, tl.trans(q), input_precision=PRECISION)
        weights = tl.exp2((scores + score_bias) * LOG2_E - log_sum[None, :])
        of_weights = tl.dot(v, tl.trans(of_output), input_precision=PRECISION)
        used = weights
        if DROPOUT:
            kept = _kept(random, row, queries[None, :], keys[:, None], threshold, IS_GLOBAL) * scale
            used = weights * kept
            of_weights *= kept
        total_value = tl.dot(used.to(of_output.dtype), of_output, total_value, input_precision=PRECISION)
        of_scores = weights * (of_weights - mean[None, :])
        total_key = tl.dot(of_scores.to(q.dtype), q, total_key, input_precision=PRECISION)

    numbers = tl.arange(0, D)
    start_of_row = (((part * batches + batch) * count) * heads + head) * D
    elements = keys[:, None] * (heads * D) + numbers[None, :]
    tl.store(of_key + start_of_row + elements, total_key.to(of_key.dtype.element_ty), mask=exists[:, None])
    tl.store(
        of_value + start_of_row + elements, total_value.to(of_value.dtype.element_ty), mask=exists[:, None]
    )

"""The encoder's attention on a GPU, forward and backward: the kernels of `longt5.attention.fused_kernels`.

What is notable about it:
- One kernel does a layer forward, three do it backward: one by queries, one by keys of the band, one by globals. A
  score is never written to memory, except where a bias learns from it: then once, by its offset.
- Every tensor is read where it lies, heads and all; biases are read from their tables by offset.
- Nothing is added up by atomic operations: the same inputs give the same gradients.
- For torch.compile it is one operator, of which it sees no inside. Nothing branches on the value of a tensor.

Padded queries attend to nothing here: they get zeros, and no gradient flows through them.
"""

import os
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from longt5.attention.reference import Globals

D_KV = (16, 32, 64, 128)


class Tiling(NamedTuple):
    """How a kernel is launched."""

    queries: int  # that one program treats at once
    keys: int
    warps: int
    stages: int  # of loads that run ahead of the work


# By kernel, whether numbers take four bytes, and d_kv up to this. On an H100 these take 28 to 80 KiB of shared memory,
# the most with dropout, and keep what they work on in registers, all but a few bytes.
TILINGS: dict[tuple[str, bool], dict[int, Tiling]] = {
    ("forward", False): {64: Tiling(128, 64, 8, 2), 128: Tiling(64, 32, 4, 2)},
    ("forward", True): {64: Tiling(64, 32, 4, 2), 128: Tiling(32, 32, 8, 1)},
    ("queries", False): {64: Tiling(64, 32, 4, 2), 128: Tiling(64, 32, 8, 1)},
    ("queries", True): {64: Tiling(32, 32, 4, 1), 128: Tiling(16, 32, 4, 1)},
    ("keys", False): {64: Tiling(32, 64, 4, 2), 128: Tiling(32, 64, 8, 1)},
    ("keys", True): {64: Tiling(32, 32, 4, 1), 128: Tiling(16, 32, 8, 1)},
    ("globals", False): {64: Tiling(32, 64, 4, 2), 128: Tiling(32, 64, 8, 1)},
    ("globals", True): {64: Tiling(32, 32, 4, 1), 128: Tiling(16, 32, 8, 1)},
}

# Programs that keep a large GPU busy: four on each of an H100's 132 processors.
BUSY = 528


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_tokens: Globals | None = None,
    attention_mask: Tensor | None = None,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """See `longt5.attention.dispatch.encoder_attention`; padded queries get zeros."""
    # Drawn where it is read, and by PyTorch's own generator: a layer that is checkpointed draws the same again.
    seed = torch.randint(2**62, (1,), device=query.device) if dropout > 0 else None
    text = None if attention_mask is None else attention_mask != 0
    tokens = (
        (None, None, None, None, 1)
        if global_tokens is None or not global_tokens.key.shape[1]
        else global_tokens
    )
    output, _ = _attend(query, key, value, band_bias, *tokens, text, seed, dropout)
    return output


@torch.compiler.assume_constant_result
def serves(d_kv: int, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the kernels can do heads of this size, in this dtype, on this device.

    On GPUs from Ampere on: for a T4 the kernels compile, but hold thousands of bytes in memory instead of in registers.
    On a CPU where Triton interprets its kernels: slow, for tests, and wrong in bfloat16 (Triton 3.6).
    """
    if d_kv not in D_KV or dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return False
    if find_spec("triton") is None:
        return False
    if device.type == "cpu":
        return os.environ.get("TRITON_INTERPRET") == "1" and dtype != torch.bfloat16
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _tiling(kernel: str, query: Tensor) -> Tiling:
    by_size = TILINGS[kernel, query.dtype == torch.float32]
    return by_size[64 if query.shape[-1] <= 64 else 128]


class _Call(NamedTuple):
    """What all kernels of one layer are given."""

    query: Tensor  # this and the next four (batch, positions, heads, d_kv)
    key: Tensor
    value: Tensor
    global_key: Tensor | None
    global_value: Tensor | None
    band_bias: Tensor  # (heads, 2 * radius + 1)
    global_bias: Tensor | None  # (heads, 2 * globals)
    ids: Tensor | None  # (batch or 1, length)
    last_ids: Tensor | None  # (batch,), the last global block with text
    text: Tensor | None  # uint8 (batch, length)
    seed: Tensor | None  # int64 (1,)
    dropout: float
    block_size: int  # tokens in a global block

    @classmethod
    def of(
        cls,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        band_bias: Tensor,
        global_key: Tensor | None,
        global_value: Tensor | None,
        global_bias: Tensor | None,
        ids: Tensor | None,
        block_size: int,
        text: Tensor | None,
        seed: Tensor | None,
        dropout: float,
    ) -> "_Call":
        last_ids = None
        if ids is not None:
            if text is not None:
                last_ids = ids.amax(-1).expand(len(query)).contiguous()
            ids = ids.contiguous()
        return cls(
            _by_rows(query),
            _by_rows(key),
            _by_rows(value),
            None if global_key is None else _by_rows(global_key),
            None if global_value is None else _by_rows(global_value),
            band_bias.contiguous(),
            None if global_bias is None else global_bias.contiguous(),
            ids,
            last_ids,
            None if text is None else text.contiguous().view(torch.uint8),
            seed,
            dropout,
            block_size,
        )

    @property
    def radius(self) -> int:
        return self.band_bias.shape[-1] // 2

    @property
    def num_globals(self) -> int:
        return 0 if self.global_key is None else self.global_key.shape[1]

    @property
    def ids_batch(self) -> int:
        """The stride of a batch's ids."""
        return self.ids.shape[1] if self.ids is not None and len(self.ids) > 1 else 0

    @property
    def threshold(self) -> int:
        """Of random numbers of 24 bits, the first that keeps a weight."""
        return round(self.dropout * 2**24)

    @property
    def scale(self) -> float:
        """What makes up for the weights that dropout drops."""
        return 1.0 / (1.0 - self.dropout) if self.dropout < 1.0 else 0.0

    def group(self, tiling: Tiling) -> int:
        """How many queries share their global block at least: as many as divide it and are a power of two.

        All text among so many is of one block whatever the padding, see `block_ids`.
        """
        return min(self.block_size & -self.block_size, tiling.queries)

    def or_query(self, tensor: Tensor | None) -> Tensor:
        """The tensor, or another one that is never read."""
        return self.query if tensor is None else tensor

    def pointers(self) -> list[Tensor]:
        optional = (self.global_key, self.global_value, self.global_bias)
        rest = (self.ids, self.last_ids, self.text, self.seed)
        optionals = (self.or_query(tensor) for tensor in (*optional, *rest))
        return [self.query, self.key, self.value, self.band_bias, *optionals]

    def strides(self) -> list[int]:
        of_globals = (self.or_query(self.global_key), self.or_query(self.global_value))
        tensors = (self.query, self.key, self.value, *of_globals)
        return [stride for tensor in tensors for stride in tensor.stride()[:3]]

    def options(self, tiling: Tiling) -> dict[str, Any]:
        """Of every kernel, what it is compiled for."""
        return {
            "HAS_TEXT": self.text is not None,
            "DROPOUT": self.dropout > 0,
            "GROUP": self.group(tiling),
            "D": self.query.shape[-1],
            "QUERIES": tiling.queries,
            "KEYS": tiling.keys,
            "PRECISION": "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32",
            "num_warps": tiling.warps,
            "num_stages": tiling.stages,
        }


def _by_rows(x: Tensor) -> Tensor:
    """The same with the numbers of a head side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()


@torch.library.custom_op("longt5::fused_attention", mutates_args=())
def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_key: Tensor | None,
    global_value: Tensor | None,
    global_bias: Tensor | None,
    ids: Tensor | None,
    block_size: int,
    text: Tensor | None,
    seed: Tensor | None,
    dropout: float,
) -> tuple[Tensor, Tensor]:
    """Output (batch, length, heads, d_kv) and log-sum-exps of the scores (batch, heads, length), in powers of 2."""
    from longt5.attention.fused_kernels import forward_kernel

    call = _Call.of(
        query,
        key,
        value,
        band_bias,
        global_key,
        global_value,
        global_bias,
        ids,
        block_size,
        text,
        seed,
        dropout,
    )
    batch, length, heads, _ = query.shape
    output, log_sums = _new_outputs(query)
    tiling = _tiling("forward", query)
    _launch(
        forward_kernel,
        (-(-length // tiling.queries), batch * heads),
        *call.pointers(),
        output,
        log_sums,
        *call.strides(),
        call.ids_batch,
        length,
        heads,
        call.radius,
        _reach(call.radius),
        call.num_globals,
        call.threshold,
        call.scale,
        HAS_GLOBALS=call.num_globals > 0,
        **call.options(tiling),
    )
    return output, log_sums


def _launch(kernel: Any, grid: tuple[int, ...], first: Tensor, *rest: Any, **options: Any) -> None:
    """Triton launches on the current GPU, which need not be that of the tensors."""
    with torch.cuda.device_of(first):
        kernel[grid](first, *rest, **options)


def _reach(radius: int) -> int:
    """How far before its first query a program begins to read keys: at a multiple of 16."""
    return -(-radius // 16) * 16


def _new_outputs(query: Tensor) -> tuple[Tensor, Tensor]:
    batch, length, heads, _ = query.shape
    output = torch.empty_like(query, memory_format=torch.contiguous_format)
    return output, query.new_empty(batch, heads, length, dtype=torch.float32)


@_attend.register_fake
def _(query: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return _new_outputs(query)


@torch.library.custom_op("longt5::fused_attention_backward", mutates_args=())
def _backward(
    gradient: Tensor,
    output: Tensor,
    log_sums: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    band_bias: Tensor,
    global_key: Tensor | None,
    global_value: Tensor | None,
    global_bias: Tensor | None,
    ids: Tensor | None,
    block_size: int,
    text: Tensor | None,
    seed: Tensor | None,
    dropout: float,
    of_band_bias: bool,
    of_global_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of query, key, value, band bias, and the globals' key, value and bias; empty ones where there are no
    globals, or `of_..._bias` says that none is needed."""
    call = _Call.of(
        query,
        key,
        value,
        band_bias,
        global_key,
        global_value,
        global_bias,
        ids,
        block_size,
        text,
        seed,
        dropout,
    )
    gradient = _by_rows(gradient)
    means = torch.empty_like(log_sums)
    of_query, of_band, of_global = _query_gradients(
        call, gradient, output, log_sums, means, of_band_bias, of_global_bias
    )
    of_keys = _key_gradients(call, gradient, log_sums, means)
    if call.num_globals:
        of_global_keys = _global_gradients(call, gradient, log_sums, means)
    else:
        of_global_keys = (query.new_empty(0), query.new_empty(0))
    return of_query, *of_keys, of_band, *of_global_keys, of_global


@_backward.register_fake
def _(
    _gradient: Tensor, _output: Tensor, _log_sums: Tensor, query: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    key, value, band_bias, global_key, global_value, global_bias, *_, of_band_bias, of_global_bias = rest

    def like(tensor: Tensor | None, needed: bool = True) -> Tensor:
        if tensor is None or not needed:
            return query.new_empty(0)
        return torch.empty_like(tensor, memory_format=torch.contiguous_format)

    return (
        like(query),
        like(key),
        like(value),
        like(band_bias, of_band_bias),
        like(global_key),
        like(global_value),
        like(global_bias, of_global_bias),
    )


def _query_gradients(
    call: _Call,
    gradient: Tensor,
    output: Tensor,
    log_sums: Tensor,
    means: Tensor,
    of_band_bias: bool,
    of_global_bias: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the query, the band's bias and the globals' bias; fills `means`."""
    from longt5.attention.fused_kernels import query_gradients_kernel

    query = call.query
    batch, length, heads, _ = query.shape
    tiling = _tiling("queries", query)
    of_global_bias = of_global_bias and call.num_globals > 0
    # Bias gradients first come by query, and are then added up: 255 offsets of 16,384 queries and 12 heads are 0.1 GB.
    # In bfloat16 they keep float16's range and more, and rounding cancels out in the sums.
    width = -(-call.band_bias.shape[-1] // 16) * 16
    by_offset = query.new_zeros(
        (batch, heads, length, width) if of_band_bias else (1,),
        dtype=torch.float32 if query.dtype == torch.float32 else torch.bfloat16,
    )
    group = call.group(tiling)
    by_difference = query.new_zeros(
        (batch, heads, -(-length // group), 2 * call.num_globals) if of_global_bias else (1,),
        dtype=torch.float32,
    )
    of_query = torch.empty_like(query, memory_format=torch.contiguous_format)
    _launch(
        query_gradients_kernel,
        (-(-length // tiling.queries), batch * heads),
        *call.pointers(),
        output,
        log_sums,
        gradient,
        means,
        of_query,
        by_offset,
        by_difference,
        *call.strides(),
        *gradient.stride()[:3],
        call.ids_batch,
        length,
        heads,
        call.radius,
        _reach(call.radius),
        call.num_globals,
        width,
        call.threshold,
        call.scale,
        HAS_GLOBALS=call.num_globals > 0,
        OF_BAND_BIAS=of_band_bias,
        OF_GLOBAL_BIAS=of_global_bias,
        **call.options(tiling),
    )
    of_band, of_global = query.new_empty(0), query.new_empty(0)
    if of_band_bias:
        sums = by_offset.sum((0, 2), dtype=torch.float32)
        of_band = sums[:, : call.band_bias.shape[-1]].to(call.band_bias.dtype).contiguous()
    if of_global_bias and call.global_bias is not None:
        of_global = by_difference.sum((0, 2)).to(call.global_bias.dtype)
    return of_query, of_band, of_global


def _key_gradients(call: _Call, gradient: Tensor, log_sums: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of key and value, through the band."""
    length = call.key.shape[1]
    of_key = torch.empty_like(call.key, memory_format=torch.contiguous_format)
    of_value = torch.empty_like(call.value, memory_format=torch.contiguous_format)
    _launch_keys(
        call,
        (call.key, call.value, call.band_bias),
        (gradient, log_sums, means),
        (of_key, of_value),
        _tiling("keys", call.query),
        chunk=length,
        chunks=1,
    )
    return of_key, of_value


def _global_gradients(
    call: _Call, gradient: Tensor, log_sums: Tensor, means: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the globals' key and value.

    All queries attend to each: they are split into chunks, so that there is work for all of the GPU.
    """
    key, value, bias = call.global_key, call.global_value, call.global_bias
    assert key is not None and value is not None and bias is not None
    tiling = _tiling("globals", call.query)
    batch, count, heads, _ = key.shape
    length = call.query.shape[1]
    programs = -(-count // tiling.keys) * batch * heads
    chunks = max(1, min(-(-BUSY // programs), length // (4 * tiling.queries)))
    chunk = -(-length // (chunks * tiling.queries)) * tiling.queries
    chunks = -(-length // chunk)
    dtype = key.dtype if chunks == 1 else torch.float32
    of_key = key.new_empty(chunks, *key.shape, dtype=dtype)
    of_value = torch.empty_like(of_key)
    _launch_keys(
        call,
        (key, value, bias),
        (gradient, log_sums, means),
        (of_key, of_value),
        tiling,
        chunk=chunk,
        chunks=chunks,
    )
    if chunks == 1:
        return of_key[0], of_value[0]
    return of_key.sum(0).to(key.dtype), of_value.sum(0).to(value.dtype)


def _launch_keys(
    call: _Call,
    attended: tuple[Tensor, Tensor, Tensor],
    upstream: tuple[Tensor, Tensor, Tensor],
    written: tuple[Tensor, Tensor],
    tiling: Tiling,
    *,
    chunk: int,
    chunks: int,
) -> None:
    """`attended`: key, value and bias; `upstream`: gradient, log-sum-exps and means; `written`: of key and value."""
    from longt5.attention.fused_kernels import key_gradients_kernel

    key, value, bias = attended
    gradient, log_sums, means = upstream
    batch, length, heads, _ = call.query.shape
    _launch(
        key_gradients_kernel,
        (-(-key.shape[1] // tiling.keys), batch * heads, chunks),
        call.query,
        key,
        value,
        bias,
        call.or_query(call.ids),
        call.or_query(call.last_ids),
        call.or_query(call.text),
        call.or_query(call.seed),
        log_sums,
        gradient,
        means,
        *written,
        *call.query.stride()[:3],
        *key.stride()[:3],
        *value.stride()[:3],
        *gradient.stride()[:3],
        call.ids_batch,
        batch,
        length,
        heads,
        key.shape[1],
        call.radius,
        chunk,
        call.threshold,
        call.scale,
        IS_GLOBAL=key is call.global_key,
        **call.options(tiling),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, block_size, text, seed, dropout = inputs
    ctx.save_for_backward(*output, *tensors, text, seed)
    ctx.block_size, ctx.dropout = block_size, dropout
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, gradient: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 12
    output, log_sums, *tensors, text, seed = ctx.saved_tensors
    needed = ctx.needs_input_grad
    gradients = _backward(
        gradient,
        output,
        log_sums,
        *tensors,
        ctx.block_size,
        text,
        seed,
        ctx.dropout,
        needed[3],
        needed[6],
    )
    return *(of if need else None for of, need in zip(gradients, needed)), None, None, None, None, None


_attend.register_autograd(_differentiate, setup_context=_save)

"""Time and memory of a training step, against transformers: forward, backward, clipping and AdamW.

Without dropout on both sides, so that loss and gradients can be compared.

python -m benchmarks.train --size base --lengths 4096 --target-tokens 512 --device cuda --dtype bfloat16
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks._job import OURS, Job, build, random_tokens, source
from benchmarks._report import TABLE_HEAD, circumstances, parser, row, sides
from benchmarks._turns import Measured, take_turns
from longt5.training.batches import Batch
from longt5.training.graphs import GraphedLosses

LEARNING_RATE = 1e-4
CLIP_NORM = 1.0


def prepare(job: Job) -> dict[str, Callable[[], dict[str, Tensor]]]:
    """The job's one stage, ready to run. Each run is the next step on the same batch."""
    model, ids = build(job).train(), source(job)
    labels = random_tokens(job, job.target_tokens, seed=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    parameters = [parameter for _, parameter in sorted(model.named_parameters())]
    batch = Batch(ids, torch.ones_like(ids), labels)
    outputs: dict[str, Tensor] = {}

    def loss_of(batch: Batch) -> Tensor:
        with torch.autocast(torch.device(job.device).type, torch.bfloat16, enabled=job.autocast):
            return model(input_ids=batch.input_ids, labels=batch.labels).loss

    graphed = GraphedLosses(loss_of, parameters) if job.cuda_graphs and job.library == OURS else None

    def step() -> dict[str, Tensor]:
        if graphed is not None:
            loss = graphed(batch, weight=1.0)
        else:
            loss = loss_of(batch)
            loss.backward()
        if not outputs:  # the first step, which is not timed
            norms = torch.stack([parameter.grad.norm(dtype=torch.float32) for parameter in parameters])
            outputs.update({"loss": loss.detach(), "gradient norms": norms})
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=graphed is None)
        return dict(outputs)

    return {"step": step}


def agreement(ours: Measured, theirs: Measured) -> str:
    """How far the first step's loss and the norms of its gradients are from the reference's, relative to it."""
    a, b = ours.outputs, theirs.outputs
    loss, norms = ((a[name] / b[name] - 1).abs() for name in ("loss", "gradient norms"))
    return f"loss off by {loss:.1e}, norms of gradients by {norms.median():.1e}, at most {norms.max():.1e}"


def main() -> None:
    options = parser(__doc__.splitlines()[0], lengths=[1024])
    options.add_argument("--target-tokens", type=int, default=128)
    options.add_argument("--autocast", action="store_true", help="bfloat16 autocast over weights of --dtype")
    options.add_argument(
        "--cuda-graphs", action="store_true", help="our side as the trainer runs it with cuda_graphs"
    )
    chosen = options.parse_args()
    print(circumstances(chosen, sides(chosen, "train", chosen.attention[0], chosen.lengths[0])[0]))
    print("No dropout. Memory includes gradients and the optimizer's state.\n")
    print(TABLE_HEAD, flush=True)
    for attention in chosen.attention:
        for length in chosen.lengths:
            label = f"{attention}, {length:,} + {chosen.target_tokens:,} tokens"
            measured = take_turns(sides(chosen, "train", attention, length), chosen.repeats, label)
            print(row(label, measured, "step", agreement), flush=True)


if __name__ == "__main__":
    main()

"""Time and memory of encoding (and, with --train, of a training step of the encoder) against transformers.

python -m benchmarks.encoder --size base --lengths 4096 16384
"""

from benchmarks._measure import Job, parser, print_table


def main() -> None:
    arguments = parser(__doc__.splitlines()[0], lengths=[1024, 4096, 16_384], repeats=3)
    arguments.add_argument("--train", action="store_true", help="forward and backward, dropout included")
    chosen = arguments.parse_args()
    shared = {
        name: getattr(chosen, name) for name in ("size", "batch", "dtype", "device", "threads", "repeats")
    }
    kind = "train" if chosen.train else "encode"
    print_table(
        chosen,
        (
            (f"{attention}, {length:,} tokens", Job(kind, "", attention=attention, length=length, **shared))
            for attention in chosen.attention
            for length in chosen.lengths
        ),
    )


if __name__ == "__main__":
    main()

"""Time and memory of generate(), from source text to summary, against transformers.

python -m benchmarks.generation --size base --lengths 16384 --beams 1 4
"""

from benchmarks._measure import Job, parser, print_table


def main() -> None:
    arguments = parser(__doc__.splitlines()[0], lengths=[1024, 8192], repeats=1)
    arguments.add_argument("--new-tokens", type=int, default=64)
    arguments.add_argument("--beams", type=int, nargs="+", default=[1, 4])
    chosen = arguments.parse_args()
    shared = {
        name: getattr(chosen, name) for name in ("size", "batch", "dtype", "device", "threads", "repeats")
    }
    print_table(
        chosen,
        (
            (
                f"{attention}, {length:,} tokens to {chosen.new_tokens}, {beams} beam{'s' * (beams > 1)}",
                Job(
                    "generate",
                    "",
                    attention=attention,
                    length=length,
                    new_tokens=chosen.new_tokens,
                    num_beams=beams,
                    **shared,
                ),
            )
            for attention in chosen.attention
            for length in chosen.lengths
            for beams in chosen.beams
        ),
    )


if __name__ == "__main__":
    main()

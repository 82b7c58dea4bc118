"""How well evidence foretells what a sentence loses without a passage, and the weights of heads that foretell it best.

python -m benchmarks.evidence --data ../shared/corpus/validation.jsonl.zst --papers 28 --tokens 4096

The decoder reads sentences of the authors' abstracts, whatever it would have written, for the rates of hits quotes:
sentences of the paper drawn at random, of which it is known where they stand, and for what a share is worth its own
words too. Head weights are fitted on every second paper; all figures are of the others.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.documents import Document, Page, undivided
from app.models import LoadedModel, ModelStore
from app.settings import EMBEDDED_MODEL, from_environment
from app.summarizing.drafts import finished_sentences
from app.summarizing.evidence import passage_ranges, passage_scores, relevance, weighted_attention
from app.summarizing.quoting import quotable_sentences
from app.summarizing.windows import TokenizedText, Window, shorten, tokenize
from benchmarks._report import machine
from longt5.decoding import processors
from longt5.evaluation.evidence import bm25, fit_nonnegative, hit, lexical_silver, linear_datamodelling_score
from longt5.evaluation.paper_sets import choose_papers
from longt5.generation import EncodedText, encode, write
from longt5.maps import (
    TeacherForced,
    cross_attention_heads,
    log_probabilities,
    occlusion,
    rollout,
    teacher_force,
)
from longt5.text.papers import Paper, PapersError

ABLATIONS = 32
SHOWN = 0.5  # of the passages, in each of them: ContextCite's
SUMMARY_TOKENS = 128  # of an abstract, whole sentences: a mask costs in proportion
QUOTES = 4
ABSTRACTS, OWN_WORDS = "abstracts", "the model's own words"
FIRST = (1, 3, 5)
TESTED = 8  # candidates of the learned heads that are put in the order of their occlusion
LEAST_SPREAD = 0.1  # nats: sentences that lose less wherever it is hidden are noise
SAMPLES = 2_000  # of papers, for the intervals

RULE, LEARNED, MEAN, ROLLOUT, BM25, RANDOM, RERANKED, OCCLUSION = METHODS = (
    "attention, heads chosen by focus",
    "attention, learned head weights",
    "attention, mean of all heads",
    "rollout",
    "BM25",
    "random",
    f"learned head weights, the first {TESTED} by their occlusion",
    "occlusion of every passage (ceiling of the first)",
)


@dataclass(frozen=True, eq=False)
class Source:
    """A paper that the encoder has read."""

    text: str
    tokens: TokenizedText
    first_token: int
    passages: np.ndarray
    """`(passages, 2)`, ranges of the input's tokens."""
    encoded: EncodedText

    @property
    def quotes(self) -> list[str]:
        """The text of each passage."""
        offsets = self.tokens.offsets
        ranges = (self.passages - self.first_token).tolist()
        return [self.text[offsets[start, 0] : offsets[end - 1, 1]] for start, end in ranges]

    def spans(self, passages: Sequence[int] | np.ndarray) -> list[tuple[int, int]]:
        """What hides these passages."""
        return [(int(start), int(end)) for start, end in self.passages[passages]]


@dataclass(frozen=True, eq=False)
class Written:
    """A text that the decoder reads after a source, and its sentences."""

    ids: tuple[int, ...]
    ranges: list[tuple[int, int]]
    """Of `ids`, half-open."""
    sentences: list[str]

    def per_sentence(self, of_tokens: np.ndarray) -> np.ndarray:
        """`(rows, tokens)` -> `(sentences, rows)`, sums."""
        return np.stack([of_tokens[:, start:end].sum(axis=1) for start, end in self.ranges])


def document(text: str) -> Document:
    """A text as one page that has been read."""
    return Document("paper", "", text, (Page(1, 0, len(text)),), undivided(text), notes=())


def read(loaded: LoadedModel, paper: Paper, max_tokens: int, prefix: str) -> Source:
    """The beginning and the end of a paper through the encoder, as the app reads a long one."""
    start = loaded.tokenizer(prefix, add_special_tokens=False)["input_ids"]
    whole = tokenize(loaded.tokenizer, document(paper.text), [(0, len(paper.text))])
    text = shorten(whole, max_tokens - len(start) - 1)
    passages = passage_ranges(text, Window(0, len(text)), first_token=len(start))
    ids = torch.tensor([[*start, *text.ids.tolist(), loaded.tokenizer.eos_token_id]])
    return Source(paper.text, text, len(start), passages, encode(loaded.model, ids))


def abstract_of(loaded: LoadedModel, paper: Paper) -> Written:
    """The first sentences of a paper's abstract that `SUMMARY_TOKENS` hold."""
    text = tokenize(loaded.tokenizer, document(paper.abstract), [(0, len(paper.abstract))])
    bounds = pairwise([*text.sentence_starts.tolist(), len(text)])
    ranges = [(start, end) for start, end in bounds if end <= SUMMARY_TOKENS]
    end = ranges[-1][1] if ranges else 0
    sentences = [paper.abstract[text.offsets[a, 0] : text.offsets[b - 1, 1]] for a, b in ranges]
    return Written(tuple(text.ids[:end].tolist()), ranges, sentences)


def own_words_of(loaded: LoadedModel, source: Source) -> Written:
    """The whole sentences of what the model writes itself, by one beam, within `SUMMARY_TOKENS`."""
    config = copy.deepcopy(loaded.model.generation_config)
    config.update(num_beams=1, max_new_tokens=SUMMARY_TOKENS, max_length=None)
    ids = write(loaded.model, source.encoded, config, logits_processor=processors(loaded.tokenizer, config))
    drafts = finished_sentences(loaded.tokenizer, ids)
    end = drafts[-1].token_end if drafts else 0
    ranges = [(draft.token_start, draft.token_end) for draft in drafts]
    return Written(ids[:end], ranges, [draft.text for draft in drafts])


def quotes_of(source: Source, rng: np.random.Generator) -> tuple[Written, list[int]]:
    """Sentences of a paper that stand in it once and are one passage, in its order; and these passages."""
    tokens = source.tokens
    found = quotable_sentences(source.text, tokens.ids, tokens.offsets, tokens.sentence_starts.tolist())
    places = {int(start): number for number, (start, _) in enumerate(source.passages - source.first_token)}
    ids = [sentence.tokens for sentence in found]
    by_character = {int(start): index for index, (start, _) in enumerate(tokens.offsets)}
    possible = []
    for sentence in found:
        passage = places.get(by_character.get(sentence.start, -1))
        if passage is not None and ids.count(sentence.tokens) == 1:
            start, end = source.passages[passage]
            if end - start == len(sentence.tokens):
                possible.append((passage, sentence))
    chosen = sorted(rng.choice(len(possible), min(QUOTES, len(possible)), replace=False).tolist())
    wanted = [possible[index] for index in chosen]
    ends = np.cumsum([len(sentence.tokens) for _, sentence in wanted]).tolist()
    ranges = [(end - len(sentence.tokens), end) for end, (_, sentence) in zip(ends, wanted)]
    texts = [source.text[sentence.start : sentence.end] for _, sentence in wanted]
    written = Written(tuple(token for _, sentence in wanted for token in sentence.tokens), ranges, texts)
    return written, [passage for passage, _ in wanted]


def attention(model: Any, source: Source, forced: TeacherForced) -> list[np.ndarray]:
    """The cross-attention of each head, `(summary tokens, source tokens)`."""
    return [weights for _, _, weights in cross_attention_heads(model, source.encoded, forced)]


def features(heads: list[np.ndarray], source: Source, written: Written) -> np.ndarray:
    """`(sentences, passages, heads)`: the attention of a sentence's tokens to a passage, mean over the tokens."""
    rows = np.stack([[head[a:b].mean(axis=0, dtype=float) for head in heads] for a, b in written.ranges])
    sums = np.concatenate([np.zeros((*rows.shape[:2], 1)), rows.cumsum(axis=-1)], axis=-1)
    return (sums[..., source.passages[:, 1]] - sums[..., source.passages[:, 0]]).transpose(0, 2, 1)


def each_hidden(model: Any, source: Source, written: Written) -> np.ndarray:
    """`(sentences, passages)`: occlusion of every passage alone, in nats."""
    masks = [source.spans([index]) for index in range(len(source.passages))]
    return written.per_sentence(occlusion(model, source.encoded, written.ids, masks))


def scores(
    model: Any, source: Source, written: Written, head_weights: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`(sentences, passages)` for each method but those that hide passages."""
    heads = attention(model, source, teacher_force(model, source.encoded, written.ids))
    means = np.mean([[head[a:b].mean(axis=0) for a, b in written.ranges] for head in heads], axis=0)
    # The end token is no passage: what rests on it is not followed.
    inside = np.zeros(means.shape[1])
    inside[source.passages[0, 0] : source.passages[-1, 1]] = 1
    traced = np.stack([rollout(model, source.encoded, row * inside)[-1] for row in means])
    return {
        RULE: passage_scores(relevance(heads, written.ranges, len(heads)), source.passages),
        LEARNED: passage_scores(weighted_attention(heads, written.ranges, head_weights), source.passages),
        MEAN: passage_scores(means, source.passages),
        ROLLOUT: passage_scores(traced, source.passages),
        BM25: np.stack([bm25(sentence, source.quotes) for sentence in written.sentences]),
        RANDOM: rng.random((len(written.ranges), len(source.passages))),
    }


def reranked(learned: np.ndarray, drop: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
    """`(sentences, passages)`: the occlusion of the first `TESTED` of each sentence; nothing is known of the others.

    Args:
        drop: gives the occlusion of some passages, each alone, for a sentence.
    """
    found = np.zeros(learned.shape)
    for number, row in enumerate(learned):
        tested = np.argsort(-row, kind="stable")[:TESTED]
        found[number, tested] = drop(number, tested)
    return found


def hidden(
    model: Any, source: Source, written: Written, number: int, passages: Sequence[Sequence[int] | np.ndarray]
) -> np.ndarray:
    """`(masks,)`: what a sentence loses without some passages together, in nats."""
    start, end = written.ranges[number]
    masks = [source.spans(each) for each in passages]
    return occlusion(model, source.encoded, written.ids[:end], masks)[:, start:].sum(axis=1)


Figures = dict[str, dict[str, list[float]]]


def measure(loaded: LoadedModel, paper: Paper, max_tokens: int, head_weights: np.ndarray) -> Figures:
    """What is measured of a paper: for each method and measure a figure a sentence."""
    model, rng = loaded.model, seeded(paper)
    figures: Figures = defaultdict(lambda: defaultdict(list))
    source, written = read(loaded, paper, max_tokens, loaded.profile.prefix), abstract_of(loaded, paper)
    if written.ranges:
        alone = each_hidden(model, source, written)
        found = scores(model, source, written, head_weights, rng)
        found[RERANKED] = reranked(found[LEARNED], lambda number, tested: alone[number, tested])
        found[OCCLUSION] = alone
        _agreement(figures, source, written, found)
        _ablations(figures, model, source, written, found, rng)
        _first_ones(figures, model, source, written, found)
        _shares(figures, ABSTRACTS, alone, found)
    own = own_words_of(loaded, source)
    if own.ranges:
        heads = attention(model, source, teacher_force(model, source.encoded, own.ids))
        found = {
            RULE: passage_scores(relevance(heads, own.ranges, len(heads)), source.passages),
            LEARNED: passage_scores(weighted_attention(heads, own.ranges, head_weights), source.passages),
        }
        _shares(figures, OWN_WORDS, each_hidden(model, source, own), found)
    source = read(loaded, paper, max_tokens, loaded.profile.quotes_prefix)
    quoted, places = quotes_of(source, rng)
    if places:
        found = scores(model, source, quoted, head_weights, rng)

        def drop(number: int, tested: np.ndarray) -> np.ndarray:
            return hidden(model, source, quoted, number, [[passage] for passage in tested])

        found[RERANKED] = reranked(found[LEARNED], drop)
        for method, rows in found.items():
            for count in FIRST:
                figures[method][f"hit {count}"] += [hit(row, at, count) for row, at in zip(rows, places)]
    return figures


def _shares(figures: Figures, kind: str, alone: np.ndarray, found: dict[str, np.ndarray]) -> None:
    """The first passage's share as the page says it, its share of all drops, and whether it has the largest."""
    share = np.maximum(alone, 0) / np.maximum(alone, 0).sum(axis=1, keepdims=True).clip(1e-9)
    for method in (RULE, LEARNED):
        for row, said in zip(share, found[method]):
            figures[method][f"said {kind}"].append(float(said.max()))
            figures[method][f"is {kind}"].append(float(row[said.argmax()]))
            figures[method][f"best {kind}"].append(said.argmax() == row.argmax())


def _agreement(figures: Figures, source: Source, written: Written, found: dict[str, np.ndarray]) -> None:
    for number, sentence in enumerate(written.sentences):
        silver = lexical_silver(sentence, source.quotes)
        if silver is not None:
            for method, rows in found.items():
                figures[method]["silver"].append(hit(rows[number], silver, 1))


def _ablations(
    figures: Figures,
    model: Any,
    source: Source,
    written: Written,
    found: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> None:
    keep = rng.random((ABLATIONS, len(source.passages))) < SHOWN
    shown = np.ones((ABLATIONS, source.encoded.input_ids.shape[1]), dtype=bool)
    for (start, end), column in zip(source.passages, keep.T):
        shown[:, start:end] = column[:, None]
    remains = written.per_sentence(log_probabilities(model, source.encoded, written.ids, shown))
    for method, rows in found.items():
        figures[method]["lds"] += [linear_datamodelling_score(row, keep, y) for row, y in zip(rows, remains)]


def _first_ones(
    figures: Figures, model: Any, source: Source, written: Written, found: dict[str, np.ndarray]
) -> None:
    for number in range(len(written.ranges)):
        order = {method: np.argsort(-rows[number], kind="stable") for method, rows in found.items()}
        asked = [(method, count) for method in found for count in FIRST if count > 1]
        drops = hidden(model, source, written, number, [order[method][:count] for method, count in asked])
        for method, passages in order.items():
            figures[method]["drop 1"].append(float(found[OCCLUSION][number, passages[0]]))
        for (method, count), drop in zip(asked, drops.tolist()):
            figures[method][f"drop {count}"].append(drop)


def seeded(paper: Paper) -> np.random.Generator:
    """Chance that is the same for a paper in every run."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(paper.id.encode()).digest()[:8], "big"))


def fit(
    loaded: LoadedModel, papers: Sequence[Paper], max_tokens: int, say: Callable[[str], None]
) -> np.ndarray:
    """`(layers * heads,)`: the head weights that foretell the occlusion of passages best, up to a scale.

    Every sentence counts alike, as in AT2's loss, a correlation: a copied one loses a hundred nats, and a few of them
    would decide.
    """
    examples, drops = [], []
    for paper in papers:
        say(f"fit {paper.id}")
        source, written = read(loaded, paper, max_tokens, loaded.profile.prefix), abstract_of(loaded, paper)
        if written.ranges:
            forced = teacher_force(loaded.model, source.encoded, written.ids)
            rows = features(attention(loaded.model, source, forced), source, written)
            alone = each_hidden(loaded.model, source, written)
            spread = alone.std(axis=1).clip(LEAST_SPREAD)[:, None]
            examples.append((rows / spread[..., None]).reshape(-1, rows.shape[-1]))
            drops.append((alone / spread).ravel())
    return fit_nonnegative(np.concatenate(examples), np.concatenate(drops))


def report(figures: Sequence[Figures]) -> str:
    """The tables of several papers' figures."""
    columns = {
        **{f"drop {count}": f"drop of the first {count}, nats" for count in FIRST},
        "lds": "LDS",
        "silver": "first is the lexical silver",
        **{f"hit {count}": f"quotes: hit at {count}" for count in FIRST},
    }
    lines = [f"| | {' | '.join(columns.values())} |", f"| --- |{' ---: |' * len(columns)}"]
    for method in METHODS:
        cells = [_cell(figures, method, measure) for measure in columns]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    counts = {measure: sum(len(each[LEARNED][measure]) for each in figures) for measure in columns}
    lines += ["", "Sentences: " + ", ".join(f"{name} {count}" for name, count in counts.items()) + "."]
    lines += [
        "",
        f"{LEARNED}, less {RULE}: " + ", ".join(_difference(figures, name) for name in columns) + ".",
    ]
    lines += [
        _believed(figures, method, kind) for kind in (ABSTRACTS, OWN_WORDS) for method in (RULE, LEARNED)
    ]
    return "\n".join(lines)


def _believed(figures: Sequence[Figures], method: str, kind: str) -> str:
    said, true, best = (
        np.array([value for each in figures for value in each[method][f"{name} {kind}"]], dtype=float)
        for name in ("said", "is", "best")
    )
    return (
        f"{method}, {kind}, {len(said)} sentences: the first passage's share is said to be {said.mean():.0%}, of all "
        f"drops it has {true.mean():.0%} (means; correlation {np.corrcoef(said, true)[0, 1]:.2f}); it has the largest "
        f"drop in {best.mean():.0%}."
    )


def _cell(figures: Sequence[Figures], method: str, measure: str) -> str:
    values = [value for each in figures for value in each[method][measure]]
    if not values:
        return "-"
    mean = float(np.mean(values))
    return f"{mean:.0%}" if measure.startswith(("hit", "silver")) else f"{mean:.2f}"


def _difference(figures: Sequence[Figures], measure: str) -> str:
    """Mean of the differences with its 95 % interval, papers drawn with replacement."""
    pairs = [
        np.subtract(each[LEARNED][measure], each[RULE][measure], dtype=float)
        for each in figures
        if each[RULE][measure]
    ]
    if not pairs:
        return f"{measure} -"
    drawn = np.random.default_rng(0).integers(len(pairs), size=(SAMPLES, len(pairs)))
    sums, sizes = np.array([pair.sum() for pair in pairs]), np.array([len(pair) for pair in pairs])
    low, high = np.percentile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [2.5, 97.5])
    return f"{measure} {sums.sum() / sizes.sum():+.2f} [{low:+.2f}, {high:+.2f}]"


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--model", default=EMBEDDED_MODEL, help="folder or Hub id")
    options.add_argument("--data", required=True, help="papers, as for app.evaluation")
    options.add_argument("--split", default="test", help="part of a data set")
    options.add_argument("--papers", type=int, default=28, help="half of them to fit, half to test")
    options.add_argument("--tokens", type=int, default=4096, help="of a paper: its beginning and its end")
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    return options.parse_args()


def main() -> None:
    options = arguments()
    started = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {what}", file=sys.stderr, flush=True)

    try:
        papers = choose_papers(options.data, options.split, options.papers)
    except PapersError as error:
        sys.exit(str(error))
    settings = replace(from_environment(), models=(options.model,), threads=options.threads)
    store = ModelStore(settings)
    with torch.inference_mode(), store.use(store.choices[0]) as loaded:
        config = loaded.model.config
        fitted, tested = papers[::2], papers[1::2]
        print(
            f"{machine()}, {options.threads} threads. {Path(options.model).name}, {options.tokens:,} tokens a paper; "
            f"head weights fitted on {len(fitted)} papers, figures of {len(tested)} others.\n"
        )
        weights = fit(loaded, fitted, options.tokens, say).round(1)
        shaped = weights.reshape(config.num_decoder_layers, config.num_heads)
        print(f'"evidence_head_weights": {json.dumps(shaped.tolist())}\n', flush=True)
        figures = []
        for paper in tested:
            say(f"test {paper.id}")
            figures.append(measure(loaded, paper, options.tokens, weights))
    print(report(figures))


if __name__ == "__main__":
    main()

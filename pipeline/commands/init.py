"""The command `init`: guess columns, task and metric from a competition's tables, and write a commented config.

It prints what it guessed, because a guess has to be checked: the user reads the config and corrects it.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.data.guess_competition import CompetitionGuess, find_tables, guess_competition
from pipeline.data.tables import join_labels, read_table
from pipeline.data.texts import Texts
from pipeline.display import escape_controls, print_line
from pipeline.errors import PipelineError
from pipeline.storage.files import write_atomically

TEMPLATE = """\
# Written by `python run.py init`; every line here is a guess to check. All keys: python run.py schema
run: {run}

competition:
  train: {train}
  test: {test}
  sample_submission: {sample}
  id: {id}
  text: {text}   # one column, [two] for a pair, or a template: "{{title}} {{sep}} {{body}}"
  target: {target}{classes}
  task: {task}   # binary, multiclass, multilabel, regression or ordinal
  metric: {metric}

folds:
  kind: {folds}   # group, stratified_group and time need a column: {{kind: group, group: author}}
  count: 5

training:              # defaults of every neural variant
  backbone: minilm     # an English model; any encoder of the hub, or a folder, goes here
  max_length: {max_length}
  epochs: 3
  batch_size: 16
  learning_rate: 5e-5
  layer_decay: 0.9

variants:              # each is trained on every fold, and blended
  mean: {{pooling: mean}}
  attention: {{pooling: attention}}
  layers: {{pooling: weighted_layer}}
  shared: {{poolings: {{cls: cls, max: max, mean_max: [mean, max]}}}}   # three heads on one encoder
  tfidf: {{model: tfidf}}

blend:
  method: auto         # from equal weights to more complex blends, while the cross-fitted gain pays
"""


def init(folder: Path, *, accept: bool = False) -> None:
    """Write `config.yaml` into a competition's folder; what is doubtful only if `accept` takes the first answer.

    Raises PipelineError if it cannot, if there is a config already, or if something is doubtful.
    """
    if not folder.is_dir():
        raise PipelineError(
            f"{folder} is no folder; init takes the folder with train, test and sample_submission tables"
        )
    path = folder / "config.yaml"
    if path.exists():
        raise PipelineError(f"{path} exists already; move it away to have another one written")
    *paths, labels = find_tables(folder)
    names = ("training table", "test table", "sample submission")
    notes: list[str] = []
    train, test, sample = (read_table(source, name, notes) for source, name in zip(paths, names, strict=True))
    if labels is not None:
        train = join_labels(train, read_table(labels, "table of labels", notes), labels)
    guess = guess_competition(train, test, sample)
    print_line(escape_controls(f"guessed from {', '.join(source.name for source in paths)}:"))
    print_line(
        escape_controls(
            f"  id {guess.id}, text {guess.text}, target {guess.target}, task {guess.task}, metric {guess.metric}"
        )
    )
    texts = [" ".join(parts) for parts in Texts(train, guess.text, paths[0], "training table")]
    for note in notes + guess.notes + _describe_script(texts):
        print_line(escape_controls(f"  {note}"))
    if guess.doubts and not accept:
        questions = "; ".join(
            f"{doubt.question} it takes {doubt.taken}, or else {doubt.other}" for doubt in guess.doubts
        )
        raise PipelineError(f"init is not sure: {questions}. Nothing is written: --yes takes the first, to be edited")
    with write_atomically(path) as temporary:
        content = _fill_template(folder, guess, paths, labels, _choose_max_length(texts))
        temporary.write_text(content, encoding="utf-8")
    for doubt in guess.doubts:
        print_line(escape_controls(f"  check this: {doubt.question} it took {doubt.taken}; the other is {doubt.other}"))
    print_line(f"{path} written; check it, then: python run.py train --config {shlex.quote(str(path))}")


def _choose_max_length(texts: Sequence[str]) -> int:
    """Return tokens for 95 % of the texts, at about 3.5 characters a token, as a multiple of 32 up to 512."""
    tokens = float(np.quantile([len(text) for text in texts], 0.95)) / 3.5
    return int(min(512, max(32, -(-tokens // 32) * 32)))


def _describe_script(texts: Sequence[str]) -> list[str]:
    """Return a sentence if many letters are not ASCII."""
    letters = [character for text in texts[:500] for character in text if character.isalpha()]
    if letters and sum(not letter.isascii() for letter in letters) > 0.3 * len(letters):
        return [
            "the texts are not English: a multilingual backbone (or one of their language) will do better than minilm"
        ]
    return []


def _fill_template(
    folder: Path, guess: CompetitionGuess, paths: Sequence[Path], labels: Path | None, max_length: int
) -> str:
    train, test, sample = (_quote(path.name) for path in paths)
    name = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in folder.resolve().name)
    return TEMPLATE.format(
        run=_quote(name.strip("-") or "run"),
        train=train + (f"\n  labels: {_quote(labels.name)}   # the targets, by id" if labels else ""),
        test=test,
        sample=sample,
        id=_quote(guess.id),
        text=_quote(guess.text),
        target=_quote(guess.target),
        classes=f"\n  classes: {_quote(guess.classes)}" if guess.classes else "",
        task=guess.task,
        metric=guess.metric,
        folds="multilabel" if guess.task == "multilabel" else "stratified",
        max_length=max_length,
    )


def _quote(value: str | list[str]) -> str:
    """Return a value as JSON, which is YAML."""
    return json.dumps(value, ensure_ascii=False)

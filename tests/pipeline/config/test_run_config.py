"""The config: strict, all problems at once, each with its path and the nearest known name."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.config.run_config import RunConfig, build_schema, read_config, write_effective_yaml
from pipeline.errors import PipelineError

ROOT = Path(__file__).resolve().parents[3]

BASE = """\
run: r
competition: {train: a.csv, test: b.csv, sample_submission: c.csv, text: text, target: t, task: binary, metric: f1}
training: {epochs: 2}
variants:
  mean: {pooling: mean}
  tfidf: {model: tfidf}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(PipelineError) as caught:
        read_config(written(folder, text), overrides)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.epohcs=3", "training.epohcs: unknown key; did you mean 'epochs'?; known ones: accumulation, "),
        ("trainign={}", "trainign: unknown key; did you mean 'training'?"),
        ("variants.mean.polling=cls", "variants.mean.polling: unknown key; did you mean 'pooling'?"),
        ("variants.neural={pooling: cls, epoch: 3}", "variants.neural.epoch: unknown key; did you mean 'epochs'?"),
        ("variants.tfidf.pooling=cls", "variants.tfidf.pooling: unknown key; known ones: char_ngrams, class_weights,"),
        (
            "variants.mean.pooling={tokens: {kind: gem, exponet: 2}}",
            "variants.mean.pooling.tokens.exponet: unknown key; did you mean 'exponent'?; known ones: exponent, kind",
        ),
        (
            "variants.mean.pooling={layers: {kind: weighted, strat: 2}, tokens: mean}",
            "variants.mean.pooling.layers.strat: unknown key; did you mean 'start'?; known ones: kind, start",
        ),
        (
            "blend.extra={x: {oof: a.csv, test: b.csv, tset: c.csv}}",
            "blend.extra.x.tset: unknown key; did you mean 'test'?; known ones: form, id, oof, test",
        ),
        ("training.epochs=two", "training.epochs: input should be a valid integer, got 'two'"),
        ("training.epochs=0", "training.epochs: input should be greater than or equal to 1, got 0"),
        ("training.batch_size=1.5", "training.batch_size: input should be a valid integer, got 1.5"),
        ("training.freeze_embeddings=no", "training.freeze_embeddings: input should be a valid boolean, got 'no'"),
        ("training.seeds=[1, 1]", "training: seeds must differ from one another"),
        ("training.class_weights.t=-1", "training.class_weights.t: input should be greater than 0, got -1"),
        ("training=3", "training: input should be a valid dictionary"),
        ("run=007", "run: input should be a valid string, got 7"),
        ("run=../elsewhere", "run: string should match pattern"),
        ("competition.text=3", "competition.text: input should be a valid string, got 3, or input should be a valid"),
        ("competition.text=[a, 3]", "competition.text.1: input should be a valid string, got 3"),
        (
            "competition.task=binray",
            "competition.task: 'binray' is unknown; did you mean 'binary'?; known ones: binary",
        ),
        ("competition.metric=acuracy", "competition.metric: unknown metric 'acuracy': did you mean accuracy?"),
        ("competition.metric=rmse", "competition.metric: metric rmse does not fit task binary; fitting ones: log_loss"),
        ("competition.target=[a, b]", "competition: target has several columns but task binary takes one"),
        ("variants.mean.pooling=atention", "variants.mean.pooling: 'atention' is unknown; did you mean 'attention'?"),
        ("variants.mean.pooling=[mean, mex]", "variants.mean.pooling.1: 'mex' is unknown; did you mean 'max'?"),
        ("variants.mean.pooling={layers: lats, tokens: mean}", "variants.mean.pooling.layers: 'lats' is unknown; did"),
        ("variants.mean.poolings={a: cls}", "variants.mean: give either pooling or poolings"),
        ("variants.both={epochs: 2}", "variants.both: give either pooling or poolings"),
        ("variants.tfidf.model=tfdif", "variants.tfidf.model: 'tfdif' is unknown; did you mean 'tfidf'?"),
        ("variants={}", "variants: dictionary should have at least 1 item"),
        ("folds.kind=grup", "folds.kind: 'grup' is unknown; did you mean 'group'?"),
        ("folds.kind=group", "folds: folds.group must name a column when folds.kind is group"),
        ("blend.method=simplx", "blend.method: 'simplx' is unknown; did you mean 'simplex'?"),
        ("blend.extra={mean: {oof: a.csv, test: b.csv}}", "blend.extra and variants both name 'mean'"),
        ("submission.clip=[1, 0]", "submission.clip must be [low, high] with low < high"),
    ],
)
def test_a_problem_is_told_with_its_path(tmp_path: Path, override: str, sentence: str) -> None:
    read_config(written(tmp_path, BASE))
    message = refusal(tmp_path, BASE, override)
    assert f"{tmp_path / 'config.yaml'} has 1 problem(s):\n  " in message
    assert sentence in message
    assert len(message.splitlines()) == 2


def test_a_missing_key_is_told_with_its_path(tmp_path: Path) -> None:
    assert "\n  competition.train: this key is required" in refusal(tmp_path, BASE.replace("train: a.csv, ", ""))
    assert "\n  run: this key is required" in refusal(tmp_path, BASE.replace("run: r\n", ""))
    override = "variants.mean.pooling={layers: weighted}"
    assert "\n  variants.mean.pooling.tokens: this key is required" in refusal(tmp_path, BASE, override)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    overrides = ("training.epohcs=3", "training.epochs=0", "variants.mean.pooling=x", "competition.metric=f2", "x=1")
    message = refusal(tmp_path, BASE.replace("test: b.csv, ", ""), *overrides)
    assert "has 6 problem(s)" in message
    paths = {line.split(":")[0].strip() for line in message.splitlines()[1:]}
    assert paths == {
        "training.epohcs",
        "training.epochs",
        "variants.mean.pooling",
        "competition.metric",
        "competition.test",
        "x",
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BASE + "run: again\n", 'line 7 is not valid YAML: found duplicate key "run"'),
        (BASE.replace("epochs: 2", "epochs: 2, epochs: 3"), "line 3 is not valid YAML: found duplicate key"),
        ("run: [a\ncompetition: x\n", "line 2 is not valid YAML"),
        ("run: r\n\tcompetition: x\n", "line 2 is not valid YAML: found character '\\t'"),
        (BASE + "folds: !!python/object/apply:os.getcwd []\n", "line 7 is not valid YAML: could not determine"),
        ("- a\n", "must hold keys such as run, competition and variants"),
        ("", "must hold keys such as run, competition and variants"),
    ],
)
def test_what_is_no_mapping_of_yaml_is_told_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    message = refusal(tmp_path, text)
    assert sentence in message
    assert str(tmp_path / "config.yaml") in message
    assert "\n" not in message


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}*a{n - 1}]\n" for n in range(1, 20))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}*a{n - 1}]}}\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (BOMB, "it holds more than 100,000 values"),
        (MERGES, "it holds more than 100,000 values"),
        ("a: &a [*a]\n", "it holds more than 100,000 values"),
        ("a: " + "[" * 60 + "]" * 60 + "\n", "it holds more than 50 levels"),
        ("a: " + "[" * 5_000 + "\n", "is nested too deeply"),
        ("a: 2020-13-45\n", "month must be in 1..12"),
        ("a: " + "9" * 5_000 + "\n", "is not valid YAML: Exceeds the limit"),
        ("a: !!bool maybe\n", "a value does not fit its tag"),
        ("a: !!int ''\n", "a value does not fit its tag"),
        ('a: "\\ud800"\n', "holds half a character"),
        ("a: &x 1\nb: &x 2\n", "found duplicate anchor"),
        ("a: x\0\n", "unacceptable character #x0000"),
        ("---\na: 1\n", "but found another document"),
        ("#" * 300_000, "is larger than 300,000 bytes; is it the right file?"),
    ],
)
def test_yaml_that_would_break_the_reader_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    message = refusal(tmp_path, BASE + text)
    assert sentence in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ('run="r\\n"', "run: string should match pattern"),
        ("run=con", "run is 'con', which cannot name a file"),
        ('submission.file="a.csv\\n"', "submission.file must be a bare name that ends in .csv"),
        ('submission.file="a\\0.csv"', "submission.file must be a bare name that ends in .csv"),
        ("submission.file=...csv", "submission.file must be a bare name that ends in .csv"),
        ("submission.file=nul.csv", "submission.file is 'nul.csv', which cannot name a file"),
        ("variants.aux={model: tfidf}", "'aux' cannot name a member"),
        ("variants.submission={model: tfidf}", "'submission' cannot name a member, because submission.file is"),
        ("variants.TFIDF={model: tfidf}", "'tfidf' and 'TFIDF' differ in case alone"),
        ("variants.s={poolings: {test: cls}}", "'s.test' cannot name a member"),
        ("blend.extra={Mean: {oof: a.csv, test: b.csv}}", "blend.extra and variants both name 'Mean'"),
        ('blend.extra={"x\\n": {oof: a.csv, test: b.csv}}', "blend.extra.'x\\n': string should match pattern"),
        ('competition.train="\\e[2J.csv"', "competition.train: string should match pattern"),
    ],
)
def test_a_name_that_no_file_can_have_everywhere_is_refused(tmp_path: Path, override: str, sentence: str) -> None:
    message = refusal(tmp_path, BASE, override)
    assert sentence in message
    assert message.replace("\n", "").isprintable()


def test_a_member_of_several_poolings_and_an_extra_cannot_share_a_file(tmp_path: Path) -> None:
    override, extra = "variants.s={poolings: {cls: cls}}", "blend.extra={s.cls: {oof: a.csv, test: b.csv}}"
    assert "both name 's.cls'" in refusal(tmp_path, BASE, override, extra)


def test_an_override_changes_one_of_the_places_that_share_an_anchor(tmp_path: Path) -> None:
    path = written(tmp_path, BASE.replace("tfidf: {model: tfidf}", "tfidf: &t {model: tfidf}\n  two: *t"))
    config = read_config(path, ["variants.tfidf.char_ngrams=0"])
    assert [config.build_variants()[name].settings.char_ngrams for name in ("tfidf", "two")] == [0, 4]


def test_of_very_many_problems_the_first_hundred_are_told(tmp_path: Path) -> None:
    message = refusal(tmp_path, BASE + "".join(f"k{n}: 1\n" for n in range(300)))
    assert "has 100 or more problem(s):" in message
    assert len(message.splitlines()) == 101


def test_a_config_that_is_not_there_or_not_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"nowhere.yaml does not exist; .*init"):
        read_config(tmp_path / "nowhere.yaml")
    (tmp_path / "config.yaml").write_bytes(BASE.replace("run: r", "run: é").encode("latin-1"))
    with pytest.raises(PipelineError, match=r"config.yaml is not UTF-8 text \(byte 5\)"):
        read_config(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("training.epochs", "'training.epochs' must have the form key.path=value"),
        ("=3", "'=3' must have the form key.path=value"),
        ("training..epochs=3", "'training..epochs=3' must have the form key.path=value"),
        ("run.epochs=3", "override 'run.epochs=3': run holds no keys in this config"),
        ("training.seeds=[1", "override 'training.seeds=[1', line 1 is not valid YAML"),
    ],
)
def test_an_override_that_cannot_be_applied_is_named(tmp_path: Path, override: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, BASE, override)


def test_overrides_change_and_add_keys_and_the_last_one_wins(tmp_path: Path) -> None:
    overrides = ("training.epochs=3", "variants.mean.epochs=4", "variants.new={pooling: cls}", "training.epochs=5")
    config = read_config(written(tmp_path, BASE), (*overrides, "folds.count=7", "competition.metric=log_loss"))
    assert [config.build_variants()[name].settings.epochs for name in ("mean", "new")] == [4, 5]
    assert (config.folds.count, config.competition.metric) == (7, "log_loss")


def test_numbers_and_words_are_read_as_yaml_1_2_does(tmp_path: Path) -> None:
    path = written(tmp_path, BASE.replace("run: r", "run: no").replace("epochs: 2", "learning_rate: 2e-5"))
    assert read_config(path).run == "no"
    assert read_config(path).training.learning_rate == pytest.approx(2e-5)
    assert read_config(path, ["training.learning_rate=3e-5"]).training.learning_rate == pytest.approx(3e-5)
    assert read_config(path, ["training.clip_norm=null"]).training.clip_norm is None


def test_a_byte_order_mark_is_no_part_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(BASE.encode("utf-8-sig"))
    assert read_config(tmp_path / "config.yaml").run == "r"


def test_a_variant_takes_the_defaults_of_training_under_its_own_keys(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, BASE), ["training.dropout=0.3", "variants.mean.epochs=1"])
    variants = config.build_variants()
    settings = variants["mean"].settings
    assert (settings.epochs, settings.dropout, settings.batch_size) == (1, 0.3, 16)
    assert not hasattr(variants["tfidf"].settings, "epochs")


EVERYTHING = """\
folds: {kind: stratified_group, group: who, count: 3}
blend: {method: simplex, members: [mean], extra: {x.y: {oof: a.csv, test: b.csv}}}
submission: {kind: labels}
"""


def test_the_effective_config_reads_back_as_itself(tmp_path: Path) -> None:
    overrides = [
        "variants.many={poolings: {a: cls, b: {layers: {kind: concat, count: 2}, tokens: [mean, {kind: gem}]}}}",
        "variants.mean.class_weights={a: 2.0}",
        "competition.text='{title} [SEP] {body}'",
        "training.learning_rate=1e-5",
    ]
    config = read_config(written(tmp_path, BASE + EVERYTHING), overrides)
    (tmp_path / "again.yaml").write_text(write_effective_yaml(config), encoding="utf-8")
    again = read_config(tmp_path / "again.yaml")
    assert again.model_dump() == config.model_dump()
    assert again.build_variants() == config.build_variants()
    (tmp_path / "third.yaml").write_text(write_effective_yaml(again), encoding="utf-8")
    assert (tmp_path / "third.yaml").read_bytes() == (tmp_path / "again.yaml").read_bytes()
    assert YAML(typ="safe", pure=True).load(tmp_path / "again.yaml")["training"]["batch_size"] == 16


def keys_of(place: Any) -> set[str]:
    """Every name of a property anywhere in a JSON schema."""
    if isinstance(place, list):
        return set().union(*map(keys_of, place))
    if not isinstance(place, dict):
        return set()
    own = place.get("properties", {})
    return set(own if isinstance(own, dict) else {}).union(*map(keys_of, place.values()))


def test_the_schema_is_json_and_describes_every_key() -> None:
    whole = json.loads(build_schema())
    assert set(whole["properties"]) == set(RunConfig.model_fields)
    forms = [whole, *whole["$defs"].values()]
    assert all(form["additionalProperties"] is False for form in forms)
    for form in whole["$defs"].values():
        lacking = [key for key, value in form["properties"].items() if not value.get("description")]
        assert lacking == [], form["title"]


def test_the_shipped_config_is_valid_and_the_schema_knows_its_keys() -> None:
    config = read_config(ROOT / "config.yaml")
    raw = YAML(typ="safe", pure=True).load(ROOT / "config.yaml")
    known = keys_of(json.loads(build_schema()))
    for section, value in raw.items():
        assert section in known
        plain = {key for own in value.values() for key in own} if section == "variants" else set(value)
        assert section == "run" or plain <= known
    assert set(config.variants) == set(raw["variants"])


def test_paths_are_relative_to_the_config_file(make_site: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = make_site("binary", variants={"tfidf": {"model": "tfidf"}})
    monkeypatch.chdir(tmp_path)
    site.ok("train")
    assert (site.folder / "runs" / "r" / "config.yaml").is_file()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("key", "value"), [("label_smoothing", "0.1"), ("class_weights", "balanced")])
def test_an_option_without_meaning_for_a_regression_is_refused(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "run: r\nvariants: {mean: {pooling: mean}}\n"
        "competition: {train: a.csv, test: b.csv, sample_submission: c.csv, text: t, target: y, "
        "task: regression, metric: rmse}\n"
    )
    assert read_config(path).competition.task == "regression"
    with pytest.raises(PipelineError, match=rf"variants.mean: {key} has no meaning for a regression"):
        read_config(path, [f"training.{key}={value}"])

"""What docs/security.md promises: strangers' files execute nothing, names stay inside, nothing secret is kept."""

import ast
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import run

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
MakeSite = Callable[..., Any]


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def sources() -> dict[Path, ast.Module]:
    paths = [ROOT / "run.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def test_nothing_can_unpickle_or_run_a_text_but_a_users_own_metric() -> None:
    banned = {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
    calls = {"eval", "exec", "compile", "system", "popen", "read_pickle", "unsafe_load"}
    for path, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not banned & {alias.name.split(".")[0] for alias in node.names}, path
            if isinstance(node, ast.ImportFrom):
                assert str(node.module).split(".")[0] not in banned, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and path.name != "custom_metric.py":
                assert node.func.id not in calls, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in calls - {"compile", "eval"}, path  # re.compile, network.eval()
                loads = node.func.attr == "load" and ast.unparse(node.func) in {"torch.load", "np.load"}
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert not loads or keywords.get("weights_only") == "True", (
                    path
                )  # tests/models/encoder/test_conversion.py
            if isinstance(node, ast.keyword) and node.arg in {"trust_remote_code", "allow_pickle"}:
                assert ast.unparse(node.value) == "False", path


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [touch {trap}]", "!!python/name:os.system"])
def test_a_config_runs_nothing(linear_site: MakeSite, tmp_path: Path, tag: str) -> None:
    site, trap = linear_site("binary"), tmp_path / "trap"
    config = site.folder / "config.yaml"
    config.write_text("run: " + tag.format(trap=trap) + "\n", encoding="utf-8")
    done = site.run("train")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert not trap.exists()


def test_a_parquet_table_runs_nothing(linear_site: MakeSite, tmp_path: Path) -> None:
    site, trap = linear_site("binary"), tmp_path / "trap"
    frame = pd.DataFrame(site.rows("train.csv"))
    payload = pickle.dumps(Trap(trap))
    harmful = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload}
    table = pa.Table.from_pandas(frame.astype(str), preserve_index=False)
    fields = [field.with_metadata(harmful) if field.name == "text" else field for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), site.folder / "train.parquet")
    site.configure(competition={"train": "train.parquet"})
    done = site.run("train")
    assert done.code in {0, 2}
    assert not trap.exists()
    pickle.loads(payload)
    assert trap.exists()  # the trap does work


@pytest.mark.parametrize("name", ["..", "../out", "/tmp/out", "a/b", "a\\b", ".hidden", "", "a\n", "a\x00b", "CON\n"])
def test_no_name_leaves_the_run_directory(linear_site: MakeSite, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    site = linear_site("binary")
    before = sorted(site.folder.parent.rglob("*"))
    config = json.loads((site.folder / "config.yaml").read_text(encoding="utf-8"))
    extra = {"oof": "a.csv", "test": "b.csv"}
    for sections in (
        {"run": name},
        {"variants": {name: {"model": "tfidf"}}},
        {"variants": {"v": {"poolings": {name: "mean", "other": "max"}}}},
        {"blend": {"extra": {name: extra}}},
        {"submission": {"file": f"{name}.csv" if name else ".csv"}}
        if name not in {"..", ".hidden", "a\n", "CON\n"}
        else {},
    ):
        if not sections:
            continue
        path = site.folder / "other.yaml"
        path.write_text(json.dumps({**config, **sections}), encoding="utf-8")
        capsys.readouterr()
        assert run.main(["train", "--config", str(path)]) == 2, sections
        assert capsys.readouterr().err.startswith("error: config "), sections
        path.unlink()
    assert sorted(site.folder.parent.rglob("*")) == before


def test_a_strangers_id_cannot_steer_the_terminal(linear_site: MakeSite) -> None:
    site = linear_site("binary")
    rows = site.rows("train.csv")
    rows[1]["id"] = rows[0]["id"] = "\x1b[2J\x1b]0;title\x07"
    site.write("train.csv", rows)
    done = site.run("train")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "\\x1b[2J" in done.err


SECRETS = ("HF_TOKEN", "KAGGLE_KEY", "WANDB_API_KEY")


def test_no_secret_of_the_environment_reaches_a_file_or_a_line(make_site: MakeSite) -> None:
    site, secret = make_site("binary"), "hf_S3cr3tS3cr3tS3cr3t"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(site.folder), **dict.fromkeys(SECRETS, secret)}
    said = ""
    for verb in ("train", "blend", "submit", "status"):
        command = [sys.executable, str(ROOT / "run.py"), verb, "--config", str(site.folder / "config.yaml")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    assert secret not in said
    for path in site.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path

"""A backbone named as on the hub is fetched once, without pickles and code, and found again without a network.

The hub is a small server on loopback that speaks as much of its protocol as a download asks for.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from models import ModelError
from models.encoder.backbone import open_backbone
from models.encoder.pretrained import load_encoder

TinyBackbone = Callable[[str], str]

ROOT = Path(__file__).resolve().parents[3]
COMMIT = "0123456789abcdef" * 2 + "01234567"
UNWANTED = ["pytorch_model.bin", "modeling.py", "README.md", "onnx/config.json", "onnx/model.safetensors"]


class Hub(BaseHTTPRequestHandler):
    """One repository, org/tiny, out of a folder; every other is unknown. `seen` collects what was asked for."""

    def __init__(self, *args: object, folder: Path, seen: list[str], cut: bool) -> None:
        self.folder, self.seen, self.cut = folder, seen, cut
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.split("?")[0]
        self.seen.append(f"{self.command} {path}")
        files = {str(p.relative_to(self.folder)): p for p in sorted(self.folder.rglob("*")) if p.is_file()}
        if path == "/api/models/org/tiny/revision/main":
            self.send({"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        elif path == f"/api/models/org/tiny/tree/{COMMIT}":
            self.send([{"type": "file", "path": n, "size": p.stat().st_size, "oid": etag(p)} for n, p in files.items()])
        elif path.removeprefix(f"/org/tiny/resolve/{COMMIT}/") in files:
            file = files[path.removeprefix(f"/org/tiny/resolve/{COMMIT}/")]
            self.send(file.read_bytes(), {"ETag": f'"{etag(file)}"', "X-Repo-Commit": COMMIT})
        else:
            self.send({"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}, status=401)

    def send(self, body: object, headers: dict[str, str] | None = None, status: int = 200) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        named = {"Content-Length": str(len(data)), "X-HF-Warning": "unauthenticated; log in, says the hub"}
        for name, value in {**named, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[: len(data) // 2] if self.cut and self.path.endswith(".safetensors") else data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


class Served:
    """A running server: its address, what it was asked for, and an end."""

    def __init__(self, folder: Path, cut: bool = False) -> None:
        self.seen: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder=folder, seen=self.seen, cut=cut))
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(timeout=10)


@pytest.fixture
def repository(tiny_backbone: TinyBackbone, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_backbone("bert"), tmp_path / "repository"))
    for name in UNWANTED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"unwanted {name}", encoding="utf-8")
    return folder


@pytest.fixture
def hub(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server, and this process pointed at it with an empty cache."""
    served = Served(repository)
    point_at(served.url, tmp_path, monkeypatch)
    yield served
    served.stop()


def point_at(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    open_backbone.cache_clear()


def refusal(name: str) -> str:
    with pytest.raises(ModelError) as caught:
        open_backbone(name)
    message = str(caught.value)
    assert "\n" not in message
    assert ". " not in message, "one sentence"
    return message


def test_a_name_on_the_hub_is_fetched_without_pickles_code_and_exports(
    hub: Served, tiny_backbone: TinyBackbone
) -> None:
    backbone = open_backbone("org/tiny")
    assert backbone.name == "org/tiny"
    assert backbone.sha256 == open_backbone(tiny_backbone("bert")).sha256
    assert sorted(path.name for path in backbone.folder.rglob("*")) == [
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    ]
    assert any("resolve" in request for request in hub.seen)
    assert not [request for request in hub.seen if request.endswith(tuple(UNWANTED))]
    load_encoder(backbone)


def test_an_unknown_name_is_refused(hub: Served) -> None:
    assert refusal("org/none") == (
        "backbone 'org/none' not found: it is not 'minilm' nor a folder with a config.json, "
        "and the hub has no such repository, or keeps it private"
    )
    assert len(hub.seen) < 5, "no retries"


def test_a_name_that_cannot_be_a_repository_is_refused(hub: Served) -> None:
    assert "no repository of the hub can have that name" in refusal("mini lm")
    assert not hub.seen


def test_a_repository_without_a_configuration_is_refused(hub: Served, repository: Path) -> None:
    (repository / "config.json").unlink()
    (repository / "model.safetensors").rename(repository / "adapter_model.safetensors")
    assert refusal("org/tiny").startswith("backbone 'org/tiny' has no config.json")


def test_a_hub_out_of_reach_is_told_from_an_unknown_name(hub: Served) -> None:
    hub.stop()
    assert "and the hub did not give it: " in refusal("org/tiny")


def test_a_broken_download_is_refused_and_leaves_nothing_half(
    repository: Path, tiny_backbone: TinyBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts of a download
    broken = Served(repository, cut=True)
    point_at(broken.url, tmp_path, monkeypatch)
    assert "and the hub did not give it: " in refusal("org/tiny")
    broken.stop()
    whole = Served(repository)
    point_at(whole.url, tmp_path, monkeypatch)
    assert open_backbone("org/tiny").sha256 == open_backbone(tiny_backbone("bert")).sha256
    whole.stop()


def test_pickled_weights_on_the_hub_are_fetched_only_where_there_are_no_others(
    hub: Served, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "converted"))
    weights = load_file(repository / "model.safetensors")
    torch.save(weights, repository / "pytorch_model.bin")
    (repository / "model.safetensors").unlink()
    backbone = open_backbone("org/tiny")
    assert [request for request in hub.seen if request.endswith(".bin")]
    assert load_file(backbone.folder / "model.safetensors").keys() == weights.keys()
    load_encoder(backbone)


USE = """
from models.encoder.backbone import open_backbone
from models.encoder.pretrained import load_encoder
backbone = open_backbone("org/tiny")
load_encoder(backbone)
print(backbone.sha256)
"""


def test_a_fresh_home_fetches_quietly_and_the_second_time_needs_no_hub(
    repository: Path, tiny_backbone: TinyBackbone, tmp_path: Path
) -> None:
    served = Served(repository)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment = {**inherited, "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": served.url, "NO_PROXY": "127.0.0.1"}
    expected = open_backbone(tiny_backbone("bert")).sha256
    for attempt in ("up", "down"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", USE],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{expected}\n", ""), attempt
        served.stop()

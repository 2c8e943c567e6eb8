from __future__ import annotations

import errno
import functools
import hashlib
import http.server
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.errors import MissingExtraError, WeightsError
from registry.weights import HubFile, LocalFile, TorchvisionEntry, locate
from registry.weights.download import download
from registry.weights.published import find_published

CONTENT = os.urandom(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"net-{DIGEST[:8]}.pth"
STARTS = f"one that starts with {DIGEST[:8]}"
OTHER = b"other weights"
OTHER_DIGEST = hashlib.sha256(OTHER).hexdigest()
ENTRY = TorchvisionEntry("Fake_Weights", "V1")
# A process that fetches as soon as it is told to.
FETCHES = (
    "import sys; from pathlib import Path; from registry.weights.download import download\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "print(download(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))"
)


class Server:
    """Answers on 127.0.0.1 as each route says, and counts what it is asked."""

    def __init__(self) -> None:
        self.routes: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.asked: Counter[str] = Counter()
        self.release = threading.Event()
        routes, asked = self.routes, self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked[f"{self.command} {self.path}"] += 1
                routes[self.path](self)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(
        self,
        path: str,
        body: bytes,
        *,
        status: int = 200,
        promised: int | None = None,
        wait_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> str:
        """Answer a path with a body, perhaps promising more than there is, or waiting for release after some bytes."""

        def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            handler.send_header("Content-Length", str(len(body) if promised is None else promised))
            for name, value in (headers or {}).items():
                handler.send_header(name, value)
            handler.end_headers()
            if handler.command == "HEAD":
                return
            try:
                handler.wfile.write(body[:wait_after])
                if wait_after is not None:
                    handler.wfile.flush()
                    self.release.wait(30)
                    handler.wfile.write(body[wait_after:])
            except OSError:
                pass

        self.routes[path] = answer
        return self.url + path


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Empty caches, ours and torch's, and no proxy between the tests and their server."""
    monkeypatch.setenv("REGISTRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make torchvision publish Fake_Weights.V1 at a url."""
    models = pytest.importorskip("torchvision.models")
    hub = pytest.importorskip("torch.hub")
    monkeypatch.setattr(hub, "_hub_dir", None)

    def publish(url: str) -> None:
        enum = models.WeightsEnum("Fake_Weights", {"V1": models.Weights(url=url, transforms=None, meta={})})
        monkeypatch.setattr(models, "Fake_Weights", enum, raising=False)

    return publish


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(WeightsError) as caught:
        call()
    return str(caught.value)


def remedy(target: Path) -> str:
    return f"fetch it elsewhere and put it at {target} (its sha256 is {STARTS}), or try again"


def kept(folder: Path) -> list[str]:
    """What lies in a folder, but for the locks."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def unused_url() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/{NAME}"


class TestLocalFile:
    def test_a_file_that_is_there_is_found(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        path.write_bytes(CONTENT)
        assert locate(LocalFile(path)) == path
        assert locate(LocalFile(path), sha256=DIGEST) == path
        assert locate(LocalFile(path), sha256=DIGEST[:8].upper()) == path

    def test_another_file_than_was_meant_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        path.write_bytes(OTHER)
        assert refusal(lambda: locate(LocalFile(path), sha256=DIGEST)) == (
            f"{path} is not the file that was meant: its sha256 is {OTHER_DIGEST}, expected {DIGEST}; if it was "
            "fetched, delete it and fetch it again; if it is your own file, correct the path or the sha256 in the spec"
        )

    def test_a_missing_file_brings_up_the_nearest_names(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("weights.pth", "weights2.pth", "notes.txt"):
            (tmp_path / name).touch()
        monkeypatch.chdir(tmp_path)
        assert refusal(lambda: locate(LocalFile(Path("weigths.pth")))) == (
            f"there is no file {tmp_path / 'weigths.pth'}; did you mean `weights.pth` or `weights2.pth`?"
        )

    def test_a_missing_file_in_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        path = tmp_path / "empty" / "w.pth"
        assert refusal(lambda: locate(LocalFile(path))) == (
            f"there is no file {path}; nothing in its folder has a name like it"
        )

    def test_a_missing_folder_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "none" / "w.pth"
        assert refusal(lambda: locate(LocalFile(path))) == (
            f"there is no file {path}: its folder cannot be read (No such file or directory); correct the path"
        )

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        assert refusal(lambda: locate(LocalFile(tmp_path))) == (
            f"{tmp_path} is a folder; write the path of a weights file in it"
        )

    def test_a_link_to_nothing_is_said(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        path.symlink_to("gone.pth")
        assert refusal(lambda: locate(LocalFile(path))) == (
            f"{path} is a link to gone.pth, which does not exist; correct the link or the path"
        )

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_no_file(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pth"
        os.mkfifo(path)
        assert refusal(lambda: locate(LocalFile(path))) == (
            f"{path} is not a regular file; write the path of a weights file"
        )

    def test_a_malformed_sha256_is_refused_before_anything_else(self, tmp_path: Path) -> None:
        assert refusal(lambda: locate(LocalFile(tmp_path / "none.pth"), sha256="12")) == (
            "'12' is not a sha256; write its 64 hex digits, or at least the first 8 of them"
        )


class TestTorchvision:
    def test_a_published_file_is_fetched_once_and_kept(
        self, server: Server, publish: Callable[[str], None], cache: Path
    ) -> None:
        publish(server.serve(f"/{NAME}", CONTENT))
        assert locate(ENTRY) == cache / NAME
        assert (cache / NAME).read_bytes() == CONTENT
        assert locate(ENTRY, sha256=DIGEST) == cache / NAME
        assert server.asked == {f"GET /{NAME}": 1}
        assert kept(cache) == [NAME]

    def test_a_file_that_torch_already_fetched_is_used_where_it_is(
        self, server: Server, publish: Callable[[str], None], cache: Path, tmp_path: Path
    ) -> None:
        checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints / NAME).write_bytes(CONTENT)
        publish(server.serve(f"/{NAME}", CONTENT))
        assert locate(ENTRY) == checkpoints / NAME
        assert server.asked == {}
        assert not cache.exists()

    @pytest.mark.parametrize("folder", ["cache/weights", "torch/hub/checkpoints"])
    def test_a_kept_file_that_is_wrong_is_reported_and_left_alone(
        self, server: Server, publish: Callable[[str], None], tmp_path: Path, folder: str
    ) -> None:
        bad = tmp_path / folder / NAME
        bad.parent.mkdir(parents=True)
        bad.write_bytes(OTHER)
        publish(server.serve(f"/{NAME}", CONTENT))
        assert refusal(lambda: locate(ENTRY)) == (
            f"{bad} is not the file that was meant: its sha256 is {OTHER_DIGEST}, expected {STARTS}; if it was "
            "fetched, delete it and fetch it again; if it is your own file, correct the path or the sha256 in the spec"
        )
        assert bad.read_bytes() == OTHER
        assert server.asked == {}

    def test_the_published_digits_are_checked_whatever_the_spec_gives(
        self, server: Server, publish: Callable[[str], None], cache: Path
    ) -> None:
        url = server.serve(f"/{NAME}", OTHER)
        publish(url)
        assert refusal(lambda: locate(ENTRY)) == (
            f"cannot fetch {url}: what was sent is another file, with the sha256 {OTHER_DIGEST}; {remedy(cache / NAME)}"
        )
        assert kept(cache) == []

    def test_a_whole_sha256_is_checked_beyond_the_published_digits(
        self, server: Server, publish: Callable[[str], None], cache: Path
    ) -> None:
        wanted = DIGEST[:8] + OTHER_DIGEST[8:]
        url = server.serve(f"/{NAME}", CONTENT)
        publish(url)
        assert refusal(lambda: locate(ENTRY, sha256=wanted)) == (
            f"cannot fetch {url}: what was sent is another file, with the sha256 {DIGEST}; fetch it elsewhere and "
            f"put it at {cache / NAME} (its sha256 is {wanted}), or try again"
        )
        assert kept(cache) == []

    def test_a_sha256_that_contradicts_the_published_digits_is_refused_before_fetching(
        self, server: Server, publish: Callable[[str], None]
    ) -> None:
        publish(server.serve(f"/{NAME}", CONTENT))
        assert refusal(lambda: locate(ENTRY, sha256=OTHER_DIGEST)) == (
            f"torchvision:Fake_Weights.V1: the sha256 {OTHER_DIGEST} in the spec cannot be right, as torchvision "
            f"publishes {NAME}, whose sha256 starts with {DIGEST[:8]}; correct it or leave it out"
        )
        assert server.asked == {}

    def test_a_file_published_without_digits_needs_a_sha256(
        self, server: Server, publish: Callable[[str], None], cache: Path
    ) -> None:
        url = server.serve("/net.pth", CONTENT)
        publish(url)
        assert refusal(lambda: locate(ENTRY)) == (
            f"torchvision:Fake_Weights.V1: {url} publishes no sha256 in its name; give a sha256 in the spec"
        )
        assert locate(ENTRY, sha256=DIGEST) == cache / "net.pth"

    def test_every_entry_of_torchvision_publishes_digits(self) -> None:
        models = pytest.importorskip("torchvision.models")
        entries = [entry for name in models.list_models() for entry in models.get_model_weights(name)]
        assert len(entries) > 100
        for entry in entries:
            found = find_published(TorchvisionEntry(type(entry).__name__, entry.name))
            assert found.url == entry.url
            assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{10}", found.digits), entry
            assert entry.url.endswith(f"/{found.name}")
            assert found.name.endswith(f"{found.digits}.pth")

    @pytest.mark.parametrize(
        ("enum", "entry", "said"),
        [
            (
                "Resnet50_Weight",
                "V1",
                "torchvision has no weights enum `Resnet50_Weight`; did you mean `ResNet50_Weights` or "
                "`ResNet152_Weights` or `ResNet101_Weights`?",
            ),
            (
                "resnet50",
                "X",
                "torchvision has no weights enum `resnet50`; that is the name of a model, whose weights are in "
                "ResNet50_Weights",
            ),
            (
                "__name__",
                "V1",
                "torchvision has no weights enum `__name__`; its documentation lists them beside each model",
            ),
            (
                "ResNet50_Weights",
                "IMAGENET1K_V3",
                "torchvision's ResNet50_Weights has no entry `IMAGENET1K_V3`; its entries: IMAGENET1K_V1, "
                "IMAGENET1K_V2, DEFAULT",
            ),
            ("WeightsEnum", "V1", "torchvision's WeightsEnum has no entry `V1`; its entries: none"),
        ],
    )
    def test_an_unknown_enum_or_entry_brings_up_the_nearest(self, enum: str, entry: str, said: str) -> None:
        pytest.importorskip("torchvision")
        reference = TorchvisionEntry(enum, entry)
        assert refusal(lambda: locate(reference)) == f"torchvision:{enum}.{entry}: {said}"

    def test_without_torchvision_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torchvision.models", None)
        with pytest.raises(MissingExtraError) as caught:
            locate(ENTRY)
        assert str(caught.value) == (
            "weights published by torchvision needs the package `torchvision`; install it with: "
            "pip install 'vision-registry[torch]'"
        )

    def test_a_torchvision_of_another_torch_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(name: str) -> None:
            raise RuntimeError("operator torchvision::nms does not exist")

        monkeypatch.setattr("importlib.import_module", fails)
        message = refusal(lambda: locate(ENTRY))
        monkeypatch.undo()
        assert message == (
            "torchvision is installed but cannot be imported (operator torchvision::nms does not exist); install the "
            "versions of torch and torchvision that belong together"
        )


class TestNetwork:
    """Each failure leaves nothing behind and says the url, where to put the file, and its digits."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        return tmp_path / NAME

    def test_no_connection(self, target: Path) -> None:
        url = unused_url()
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"cannot fetch {url}: Connection refused; fetch it elsewhere and put it at {target} (its sha256 is one "
            f"that starts with {DIGEST[:8]}), or try again"
        )
        assert kept(target.parent) == []

    def test_no_connection_through_locate(self, publish: Callable[[str], None], cache: Path) -> None:
        url = unused_url()
        publish(url)
        assert refusal(lambda: locate(ENTRY)) == f"cannot fetch {url}: Connection refused; {remedy(cache / NAME)}"
        (cache / NAME).write_bytes(CONTENT)
        assert locate(ENTRY) == cache / NAME

    def test_a_name_that_does_not_resolve(self, monkeypatch: pytest.MonkeyPatch, target: Path) -> None:
        def unresolved(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unresolved)
        url = f"http://weights.invalid/{NAME}"
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"cannot fetch {url}: Name or service not known; {remedy(target)}"
        )

    def test_an_answer_that_says_no(self, server: Server, target: Path) -> None:
        url = server.serve(f"/{NAME}", b"gone", status=404)
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"cannot fetch {url}: the server answered 404 Not Found; {remedy(target)}"
        )
        assert kept(target.parent) == []

    def test_a_transfer_that_ends_early(self, server: Server, target: Path) -> None:
        url = server.serve(f"/{NAME}", CONTENT[:1_000_000], promised=len(CONTENT))
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"cannot fetch {url}: the transfer ended after 1000000 of 3000000 bytes; {remedy(target)}"
        )
        assert kept(target.parent) == []

    def test_a_server_that_does_not_answer(self, monkeypatch: pytest.MonkeyPatch, server: Server, target: Path) -> None:
        monkeypatch.setattr("registry.weights.transfer.TIMEOUT_SECONDS", 0.2)
        url = server.serve(f"/{NAME}", CONTENT, wait_after=1_000_000)
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"cannot fetch {url}: no answer within 0.2 seconds; {remedy(target)}"
        )
        assert kept(target.parent) == []

    def test_an_answer_that_is_not_http(self, target: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def answer() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"hello\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/{NAME}"
            assert refusal(lambda: download(url, target, DIGEST[:8])) == (
                f"cannot fetch {url}: the answer is not HTTP; {remedy(target)}"
            )


class TestDisk:
    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        return tmp_path / NAME

    @pytest.mark.parametrize("when", ["write", "flush"])
    def test_a_full_disk_leaves_nothing_and_says_so(
        self, monkeypatch: pytest.MonkeyPatch, server: Server, target: Path, when: str
    ) -> None:
        class Full(io.FileIO):
            def write(self, data: Any) -> int:
                if when == "write":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return super().write(data)

            def flush(self) -> None:
                if when == "flush" and not self.closed:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("registry.weights.download.open", Full, raising=False)
        url = server.serve(f"/{NAME}", CONTENT)
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"cannot write {target}: the disk is full, so nothing was kept; free some space, or set REGISTRY_CACHE to "
            "a folder on another disk"
        )
        assert kept(target.parent) == []

    def test_a_disk_that_fails_leaves_nothing_and_says_so(
        self, monkeypatch: pytest.MonkeyPatch, server: Server, target: Path
    ) -> None:
        def fails(_: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "fsync", fails)
        url = server.serve(f"/{NAME}", CONTENT)
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"cannot write {target}: {os.strerror(errno.EIO)}; set REGISTRY_CACHE to a folder that can be written"
        )
        assert kept(target.parent) == []

    def test_an_interrupted_download_leaves_nothing(
        self, monkeypatch: pytest.MonkeyPatch, server: Server, target: Path
    ) -> None:
        def interrupted(_: int) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download(server.serve(f"/{NAME}", CONTENT), target, DIGEST[:8])
        assert kept(target.parent) == []

    @pytest.mark.skipif(os.name == "nt", reason="permissions are those of posix")
    def test_a_fetched_file_has_the_permissions_of_any_new_file(self, server: Server, target: Path) -> None:
        download(server.serve(f"/{NAME}", CONTENT), target, DIGEST[:8])
        (target.parent / "new").touch()
        assert target.stat().st_mode == (target.parent / "new").stat().st_mode


class TestProcesses:
    def start(self, url: str, target: Path) -> subprocess.Popen[str]:
        """A process that is about to fetch, and does so at the next line it is given."""
        process = subprocess.Popen(
            [sys.executable, "-c", FETCHES, url, str(target), DIGEST[:8]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def go(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    def test_two_at_once_fetch_once(self, server: Server, tmp_path: Path) -> None:
        target = tmp_path / NAME
        url = server.serve(f"/{NAME}", CONTENT, wait_after=1_000_000)
        both = [self.start(url, target) for _ in range(2)]
        for process in both:
            self.go(process)
        # Both have had time to ask before either gets its answer.
        time.sleep(1)
        assert all(process.poll() is None for process in both)
        server.release.set()
        assert [process.communicate(timeout=30)[0] for process in both] == [f"{target}\n"] * 2
        assert server.asked == {f"GET /{NAME}": 1}
        assert target.read_bytes() == CONTENT
        assert kept(tmp_path) == [NAME]

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be handled")
    def test_one_that_is_killed_leaves_no_half_file_and_the_next_one_tidies_up(
        self, server: Server, tmp_path: Path
    ) -> None:
        target = tmp_path / NAME
        url = server.serve(f"/{NAME}", CONTENT, wait_after=1_000_000)
        process = self.start(url, target)
        self.go(process)
        for _ in range(1000):
            if any(path.stat().st_size for path in tmp_path.glob("*.partial")):
                break
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=30)
        (leftover,) = kept(tmp_path)
        assert re.fullmatch(re.escape(NAME) + r"\.[0-9a-f]+\.partial", leftover)
        server.release.set()
        assert download(url, target, DIGEST[:8]) == target
        assert target.read_bytes() == CONTENT
        assert kept(tmp_path) == [NAME]

    def test_one_that_holds_the_lock_for_too_long_is_said(
        self, monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path
    ) -> None:
        monkeypatch.setattr("registry.weights.download._LOCK_SECONDS", 0.3)
        target = tmp_path / NAME
        url = server.serve(f"/{NAME}", CONTENT, wait_after=1_000_000)
        process = self.start(url, target)
        self.go(process)
        while not server.asked:
            time.sleep(0.01)
        assert refusal(lambda: download(url, target, DIGEST[:8])) == (
            f"another process has been fetching {target} for 0.005 minutes; wait for it or end it"
        )
        server.release.set()
        process.communicate(timeout=30)
        assert target.read_bytes() == CONTENT


class TestProgress:
    class Screen(io.StringIO):
        def __init__(self, terminal: bool) -> None:
            super().__init__()
            self.terminal = terminal

        def isatty(self) -> bool:
            return self.terminal

    @pytest.mark.parametrize(
        ("terminal", "progress", "last"),
        [(True, True, f"\r{NAME}: 3.0 of 3.0 MB\n"), (True, False, ""), (False, True, "")],
        ids=["terminal", "unwanted", "file"],
    )
    def test_is_shown_on_a_terminal_and_only_when_wanted(
        self,
        monkeypatch: pytest.MonkeyPatch,
        server: Server,
        tmp_path: Path,
        terminal: bool,
        progress: bool,
        last: str,
    ) -> None:
        screen = self.Screen(terminal)
        monkeypatch.setattr(sys, "stderr", screen)
        download(server.serve(f"/{NAME}", CONTENT), tmp_path / NAME, DIGEST[:8], progress=progress)
        assert screen.getvalue()[-len(last) or len(screen.getvalue()) :] == last


class TestHub:
    FILE = HubFile("owner", "repo", "folder/w.pth", None)
    PATH = "/owner/repo/resolve/main/folder/w.pth"
    COMMIT = "0123456789012345678901234567890123456789"

    @pytest.fixture(autouse=True)
    def hub(self, monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path) -> Any:
        """The hub's own client, asking the tests' server and nothing else."""
        hub = pytest.importorskip("huggingface_hub")
        ask = functools.partial(hub.hf_hub_download, endpoint=server.url, cache_dir=tmp_path / "hub")
        monkeypatch.setattr(hub, "hf_hub_download", ask)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        return hub

    def serve(self, server: Server, path: str = PATH, content: bytes = CONTENT) -> None:
        server.serve(
            path, content, headers={"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self.COMMIT}
        )

    def test_a_file_is_fetched_and_keeps_its_name(self, server: Server) -> None:
        self.serve(server)
        path = locate(self.FILE, sha256=DIGEST)
        assert path.name == "w.pth"
        assert path.read_bytes() == CONTENT

    def test_a_revision_is_asked_for(self, server: Server) -> None:
        self.serve(server, self.PATH.replace("main", "v2"), OTHER)
        assert locate(HubFile("owner", "repo", "folder/w.pth", "v2"), progress=False).read_bytes() == OTHER

    def test_a_kept_file_with_the_right_sha256_needs_no_network(
        self, server: Server, monkeypatch: pytest.MonkeyPatch, hub: Any
    ) -> None:
        self.serve(server)
        first = locate(self.FILE, sha256=DIGEST[:8])
        asked = server.asked.copy()
        assert locate(self.FILE, sha256=DIGEST[:8]) == first
        assert server.asked == asked

    def test_another_file_than_was_meant_is_refused(self, server: Server) -> None:
        self.serve(server, content=OTHER)
        message = refusal(lambda: locate(self.FILE, sha256=DIGEST))
        assert message.endswith(
            f"w.pth is not the file that was meant: its sha256 is {OTHER_DIGEST}, expected {DIGEST}; if it was "
            "fetched, delete it and fetch it again; if it is your own file, correct the path or the sha256 in the spec"
        )

    @pytest.mark.parametrize(
        ("status", "code", "said"),
        [
            (
                404,
                "EntryNotFound",
                "owner/repo has no file folder/w.pth; correct the path, which starts at the top of the repository",
            ),
            (404, "RevisionNotFound", "owner/repo has no revision main; correct what follows `@`"),
            (
                404,
                "RepoNotFound",
                "the hub has no repository owner/repo, or a private one; correct the name, or set HF_TOKEN",
            ),
            (
                403,
                "GatedRepo",
                "access to owner/repo is restricted; ask for it on its page, and set HF_TOKEN to a token that has it",
            ),
        ],
    )
    def test_each_refusal_of_the_hub_says_what_to_do(self, server: Server, status: int, code: str, said: str) -> None:
        server.serve(
            "/owner/repo/resolve/main/folder/w.pth",
            b"",
            status=status,
            headers={"X-Error-Code": code, "X-Error-Message": "no"},
        )
        reference = HubFile("owner", "repo", "folder/w.pth", "main")
        assert refusal(lambda: locate(reference)) == f"cannot fetch hf://owner/repo@main/folder/w.pth: {said}"

    def test_without_a_network_the_way_round_is_said(self, monkeypatch: pytest.MonkeyPatch, hub: Any) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert refusal(lambda: locate(self.FILE)) == (
            "cannot fetch hf://owner/repo/folder/w.pth: the hub cannot be reached and no earlier copy is kept; try "
            "again with a network, or fetch the file elsewhere and write its path instead, for instance ./w.pth"
        )

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (
                OSError(errno.ENOSPC, "No space left on device"),
                "the disk is full; free some space, or set HF_HOME to a folder on another disk",
            ),
            (
                ValueError("odd\nin many lines"),
                "odd; try again, or fetch the file elsewhere and write its path instead",
            ),
            (KeyError(), "KeyError; try again, or fetch the file elsewhere and write its path instead"),
        ],
        ids=["full", "words", "silent"],
    )
    def test_any_other_failure_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, hub: Any, error: Exception, said: str
    ) -> None:
        def fails(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(hub, "hf_hub_download", fails)
        assert refusal(lambda: locate(self.FILE)) == f"cannot fetch hf://owner/repo/folder/w.pth: {said}"

    def test_bars_are_switched_off_when_unwanted_and_on_again(
        self, monkeypatch: pytest.MonkeyPatch, hub: Any, tmp_path: Path
    ) -> None:
        utils = pytest.importorskip("huggingface_hub.utils")
        off: list[bool] = []

        def notes(*_: object, **__: object) -> str:
            off.append(utils.are_progress_bars_disabled())
            return str(tmp_path)

        monkeypatch.setattr(hub, "hf_hub_download", notes)
        locate(self.FILE, progress=False)
        locate(self.FILE)
        assert off == [True, False]

    def test_without_the_hubs_client_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(MissingExtraError) as caught:
            locate(self.FILE)
        assert str(caught.value) == (
            "weights on the Hugging Face hub needs the package `huggingface-hub`; install it with: "
            "pip install 'vision-registry[hub]'"
        )

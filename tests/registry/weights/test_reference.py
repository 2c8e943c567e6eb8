from __future__ import annotations

from pathlib import Path

import pytest

from registry.errors import WeightsError
from registry.weights import HubFile, LocalFile, TorchvisionEntry, parse_reference

FORMS = (
    "write one of\n"
    "  torchvision:ENUM.ENTRY, for instance torchvision:NAME_Weights.DEFAULT\n"
    "  hf://OWNER/REPO/FILE or hf://OWNER/REPO@REVISION/FILE, for instance hf://owner/repo@v1.0/model.safetensors\n"
    "  a path that starts with `.`, `/` or `~`, or ends in .safetensors, .pth or .pt, for instance ./model.safetensors"
)
HUB_NAMES = "`hf://` takes an owner, a repository with an optional @REVISION, and a file, separated by `/`"
HUB_PATH = "the path in the repository is relative, with no `..`, `.`, `:`, backslash or empty part"
HUB_SUFFIX = "the file in the repository ends in .safetensors, .pth or .pt"
TORCHVISION = "`torchvision:` takes the name of an enum, a dot and the name of one of its entries"


def test_a_torchvision_entry_is_an_enum_and_an_entry() -> None:
    assert parse_reference("torchvision:ResNet50_Weights.IMAGENET1K_V2") == TorchvisionEntry(
        "ResNet50_Weights", "IMAGENET1K_V2"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://timm/some.net/model.safetensors", HubFile("timm", "some.net", "model.safetensors", None)),
        ("hf://o/r@v1.0/a/b/model.safetensors", HubFile("o", "r", "a/b/model.safetensors", "v1.0")),
        ("hf://o/r/a@b.pth", HubFile("o", "r", "a@b.pth", None)),
    ],
)
def test_a_hub_file_is_an_owner_a_repository_a_file_and_maybe_a_revision(text: str, expected: HubFile) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    ["./w", "../w.bin", ".hidden", "/abs/w", "w.pth", "a/b.pt", "b.safetensors", r"C:\weights\a.pth", "./hf:x.pth"],
)
def test_a_path_is_local_by_how_it_starts_or_ends(text: str) -> None:
    assert parse_reference(text) == LocalFile(Path(text))


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert parse_reference("~/w.pth") == LocalFile(tmp_path / "w.pth")


def test_what_lies_in_the_folder_does_not_make_a_bare_word_a_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "weights").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError) as caught:
        parse_reference("weights")
    assert str(caught.value) == f"'weights' is not a weights reference; {FORMS}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "imagenet",
        "weights/net.bin",
        "https://host/w.pth",
        "file:///w.pth",
        "hf:o/r/w.safetensors",
        "HF://o/r/w.pt",
    ],
)
def test_anything_else_is_refused_with_every_form(text: str) -> None:
    with pytest.raises(WeightsError) as caught:
        parse_reference(text)
    assert str(caught.value) == f"{text!r} is not a weights reference; {FORMS}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("torchvision:", TORCHVISION),
        ("torchvision:ResNet50_Weights", TORCHVISION),
        ("torchvision:A.B.C", TORCHVISION),
        ("torchvision:a-b.C", TORCHVISION),
        ("torchvision: A.B", TORCHVISION),
        ("hf://owner", HUB_NAMES),
        ("hf:///repo/w.pth", HUB_NAMES),
        ("hf://o/r@/w.pth", HUB_NAMES),
        ("hf://../r/w.pth", HUB_NAMES),
        ("hf://o/a..b/w.pth", HUB_NAMES),
        ("hf://o/r", HUB_PATH),
        ("hf://o/r/", HUB_PATH),
        ("hf://o/r/../w.pth", HUB_PATH),
        ("hf://o/r/a/../../w.pth", HUB_PATH),
        ("hf://o/r/./w.pth", HUB_PATH),
        ("hf://o/r//etc/w.pth", HUB_PATH),
        ("hf://o/r/C:/w.pth", HUB_PATH),
        ("hf://o/r/..\\w.pth", HUB_PATH),
        ("hf://o/r/config.json", HUB_SUFFIX),
        ("./w\0.pth", "it holds a control character"),
        ("w.pth\n", "it holds a control character"),
        (
            "~nobody-of-this-name/w.pth",
            "there is no such home folder; a file whose name starts with `~` is written ./~NAME",
        ),
    ],
)
def test_a_malformed_reference_says_what_is_wrong_and_every_form(text: str, why: str) -> None:
    with pytest.raises(WeightsError) as caught:
        parse_reference(text)
    assert str(caught.value) == f"{text!r} is not a weights reference: {why}; {FORMS}"


@pytest.mark.parametrize("text", ["torchvision:A_Weights.B", "hf://o/r@main/a/w.pth", "hf://o/r/w.pt", "a/w.pth"])
def test_a_reference_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_reference(text)) == text

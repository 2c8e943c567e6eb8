from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from registry.errors import WeightsError
from registry.weights import sha256_of, verify_sha256

CONTENT = b"some weights" * 200_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.pth"
    path.write_bytes(CONTENT)
    return path


def test_the_sha256_of_a_file_is_that_of_its_bytes(file: Path) -> None:
    assert sha256_of(file) == DIGEST


def test_an_empty_file_has_the_sha256_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.pth"
    path.touch()
    assert sha256_of(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("expected", [DIGEST, DIGEST.upper(), DIGEST[:8], DIGEST[:8].upper(), DIGEST[:10], DIGEST[:63]])
def test_the_whole_digest_or_at_least_its_first_eight_digits_pass(file: Path, expected: str) -> None:
    verify_sha256(file, expected)


def other(digits: str) -> str:
    return digits[:-1] + ("0" if digits[-1] != "0" else "1")


@pytest.mark.parametrize(
    ("expected", "said"),
    [(other(DIGEST), other(DIGEST)), (other(DIGEST[:8]).upper(), f"one that starts with {other(DIGEST[:8])}")],
)
def test_another_file_is_refused_with_both_digests_and_what_to_do(file: Path, expected: str, said: str) -> None:
    with pytest.raises(WeightsError) as caught:
        verify_sha256(file, expected)
    assert str(caught.value) == (
        f"{file} is not the file that was meant: its sha256 is {DIGEST}, expected {said}; if it was fetched, delete it "
        "and fetch it again; if it is your own file, correct the path or the sha256 in the spec"
    )
    assert file.exists()


@pytest.mark.parametrize(
    "expected", ["", DIGEST[:7], DIGEST + "0", "g" * 64, "0x" + DIGEST[:8], f" {DIGEST}", DIGEST + "\n"]
)
def test_a_malformed_expected_value_is_an_error_even_if_it_could_match(file: Path, expected: str) -> None:
    with pytest.raises(WeightsError) as caught:
        verify_sha256(file, expected)
    assert (
        str(caught.value) == f"{expected!r} is not a sha256; write its 64 hex digits, or at least the first 8 of them"
    )


def test_a_file_that_is_not_there_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        verify_sha256(tmp_path / "none.pth", DIGEST)
    assert str(caught.value) == f"cannot read {tmp_path / 'none.pth'}: No such file or directory"

"""The documentation is true: its code runs, its commands and flags exist, its links lead somewhere."""

import re
import shlex
import tempfile

import pytest

from tests.commands import COMMANDS, PACKAGES, flags_of
from tests.folders import REPOSITORY
from tfrecog.cli import flags

PAGES = sorted(
    page.relative_to(REPOSITORY)
    for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")]
    if page.is_file()
)
RUNNABLE = ("docs/coordinates.md", "docs/python.md", "docs/tour.md")


def blocks(page, language):
    """Text of each fenced block of a language in a page, and the line it starts on."""
    text = (REPOSITORY / page).read_text()
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(match[1], text[: match.start(1)].count("\n") + 1) for match in found]


def commands():
    """Page and words of each command in a shell block; lines that end in a backslash go on."""
    for page in PAGES:
        for text, _ in blocks(page, "sh"):
            for line in text.replace("\\\n", " ").splitlines():
                words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=\S*", word)]
                if words:
                    yield pytest.param(words, id=f"{page}: {' '.join(words)}")


@pytest.mark.parametrize("page", RUNNABLE)
def test_the_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    namespace = {"__name__": "page"}
    found = blocks(page, "python")
    assert found, f"{page} has no code"
    for text, line in found:
        # The empty lines give tracebacks the page's own line numbers.
        exec(compile("\n" * (line - 1) + text, str(REPOSITORY / page), "exec"), namespace)


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_exists_and_takes_its_flags(words):
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif "-m" in words or words[0] == "tfrecog":
        names = {name.partition(".")[2]: name for name in COMMANDS}
        module = words[words.index("-m") + 1] if "-m" in words else names[words[1]]
        if module.split(".")[0] in PACKAGES:
            own = words[: words.index("--")] if "--" in words else words  # Behind it is another command.
            given = [word[2:].partition("=")[0] for word in own if word.startswith("--")]
            known = {"flagfile", "help", *(leaf.path for leaf in flags.leaves(flags_of(module)))}
            assert [flag for flag in given if flag not in known and flag.removeprefix("no") not in known] == []
    for name in re.findall(r"--flagfile=(configs/\S+)", " ".join(words)):
        assert (REPOSITORY / name).is_file()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_to_files_of_the_repository_lead_somewhere(page):
    text = (REPOSITORY / page).read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not ((REPOSITORY / page).parent / link).exists()] == []

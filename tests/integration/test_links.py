"""The files, headings, tests and make targets that the pages refer to exist."""

import re
import subprocess

import pytest

import pages
import rowtail

ROOT = rowtail.ROOT
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGES.md")]
PAGES += [ROOT / "deploy" / "clients.md", *sorted((ROOT / "deploy").glob("**/README.md"))]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
OUTSIDE = re.compile(r"(https?|mailto):")

# Sections of README.md in which each item and each row of a table links to a test or a bench.
PROVEN = ["Guarantees", "What a page can ask for", "What it costs", "What it costs on a shared host"]


def relative_links(page):
    return [link for link in pages.links(page) if link.target is None or not OUTSIDE.match(link.target)]


def has_test(path, name):
    """Whether there is a function of this name, or in JavaScript a string that contains it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return re.search(rf"^\s*(async )?def {re.escape(name)}\(", text, re.MULTILINE)
    quote = r"['\"`][^'\"`\n]*" if path.suffix == ".mjs" else r"\b"
    return re.search(quote + re.escape(name), text)


@EVERY_PAGE
def test_relative_link_leads_to_a_file(page):
    for link in relative_links(page):
        where = f"{page.relative_to(ROOT)}:{link.line}: [{link.text}]"
        assert link.target, f"{where} has no definition"
        path, _, anchor = link.target.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT) and target.exists(), f"{where}: there is no {link.target}"
        assert not anchor or anchor in pages.anchors(target), f"{where}: {target.name} has no heading #{anchor}"


@EVERY_PAGE
def test_named_test_exists(page):
    for link in relative_links(page):
        target = page.parent / link.target.partition("#")[0]
        if (ROOT / "tests") not in target.resolve().parents or target.is_dir():
            continue
        where = f"{page.relative_to(ROOT)}:{link.line}: [{link.text}]({link.target})"
        assert link.title, f'{where} names no test: write "its name" behind the path'
        assert has_test(target, link.title), f"{where}: there is no {link.title}"


@EVERY_PAGE
def test_every_definition_is_used(page):
    assert set(pages.definitions(page)) - set(pages.references(page)) == set()


@pytest.mark.parametrize("section", PROVEN)
def test_each_claim_links_to_its_test(section):
    [text] = re.findall(rf"(?ms)^## {section}\n(.*?)(?=^## )", (ROOT / "README.md").read_text())
    items = re.findall(r"(?ms)^- .*?(?=^- |\n\n|\Z)", text)
    # The rows of each table, without its head.
    rows = [row for table in re.findall(r"(?m)(?:^\|.*\|\n)+", text) for row in table.splitlines()[2:]]
    defined = pages.definitions(ROOT / "README.md")
    assert items + rows
    for claim in items + rows:
        names = [name.lower() for name in re.findall(r"\]\[([^\]]+)\]", claim)]
        assert any(defined[name][0].startswith("tests/") for name in names), claim


@EVERY_PAGE
def test_named_make_target_exists(page):
    wanted = set(re.findall(r"`(?:[A-Z_]+=\S+ )*make ([a-z-]+)", page.read_text()))
    database = subprocess.run(["make", "-qp", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    targets = set(re.findall(r"(?m)^([a-z][\w-]*):", database.stdout))
    assert wanted - targets == set()


def test_fenced_blocks_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`\n\n[x]: y.md \"z\"\n\n1. item\n\n   ```sh now\n   echo\n     two\n   ```\n\n"
        "~~~~\n```\n~~~~\n\n[text][X] `[no](code)` [in\nline](a/b.md#c \"t\")\n\n    not fenced\n"
    )
    assert pages.blocks(page) == [
        ("sh", ["sh", "now"], "echo\n  two\n", 8, "A b"),
        ("", [], "```\n", 13, "A b"),
    ]
    assert pages.links(page) == [("y.md", "text", "z", 16), ("a/b.md#c", "in line", "t", 16)]
    assert pages.indented(page) == [19]
    assert pages.anchors(page) == {"a-b"}

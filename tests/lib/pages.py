"""Reads the project's Markdown pages for tests: fenced blocks, links, headings.

    for block in pages.blocks(ROOT / "README.md"):
        if block.language == "sh": run(block.text)

Pages fence all code (```sh), so that a test knows what it is: `sh` is what a reader types, and a test runs
it; any other tag (`html`, `text`, `sql`…) is for reading. `indented` finds code that is not fenced.
"""

import collections
import re

# language: the first word after the fence, or "". words: all words after it. text: the lines between the fences,
# without the fence's indentation, with line breaks. line: the number of the first one, counted from 1.
# heading: the text of the last heading above, "" without one.
Block = collections.namedtuple("Block", "language words text line heading")

# target: as written, without a title; for a reference ([text][name]) its definition's target, or None.
# text: the text in the brackets. title: the title, or "". line: counted from 1.
Link = collections.namedtuple("Link", "target text title line")

_FENCE = re.compile(r"( *)(`{3,}|~{3,})[ \t]*([^`\n]*)$")
_HEADING = re.compile(r"#{1,6}[ \t]+(.*?)[ \t]*#*$")
_INLINE = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?([^\s<>()]+)>?(?:\s+[\"']([^)]*)[\"'])?\s*\)")
_DEFINITION = re.compile(r"^ {0,3}\[([^\[\]]+)\]:\s*<?([^\s<>]+)>?(?:\s+\"([^\"]*)\")?\s*$", re.MULTILINE)
_REFERENCE = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\s?\[([^\[\]]+)\]")
_HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"\s]+)\"", re.DOTALL)
_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def _walk(path):
    """Each line of the page, as (number, line, its block or None, whether it is a fence)."""
    fence = None
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        found = _FENCE.match(line)
        if fence is None and found:
            fence = found
            yield number, line, fence, True
        elif fence is not None and found and _closes(found, fence):
            yield number, line, fence, True
            fence = None
        else:
            yield number, line, fence, False
    assert fence is None, f"{path}: a fenced block has no end"


def _closes(found, fence):
    return found[2].startswith(fence[2]) and not found[3].strip()


def blocks(path):
    """Every fenced block of the page, as a list of Block, from top to bottom."""
    found, heading, fence, lines, first = [], "", None, [], 0
    for number, line, within, is_fence in _walk(path):
        if is_fence and fence is None:
            fence, lines, first = within, [], number + 1
        elif is_fence:
            words = fence[3].split()
            language = words[0] if words else ""
            found.append(Block(language, words, "".join(lines), first, heading))
            fence = None
        elif within:
            indent = len(line) - len(line.lstrip(" "))
            lines.append(line[min(indent, len(fence[1])) :] + "\n")
        elif title := _HEADING.match(line):
            heading = _plain(title[1])
    return found


def indented(path):
    """The numbers of lines that Markdown shows as code although they are not fenced."""
    found, above, in_list = [], "", False
    for number, line, within, _ in _walk(path):
        if within:
            above, in_list = line, in_list and line.startswith(" ")
            continue
        if re.match(r" *([-*+]|\d+[.)]) ", line):
            in_list = True
        elif line.strip() and not line.startswith(" "):
            in_list = False
        enough = 6 if in_list else 4
        if not above.strip() and line.strip() and len(line) - len(line.lstrip(" ")) >= enough:
            found.append(number)
        above = line if line.strip() else ""
    return found


def _text_and_code(path):
    """The page without its blocks, and a function that says whether a place in it is within `code`."""
    text = "\n".join("" if within else line for _, line, within, _ in _walk(path))
    spans = [code.span() for code in _CODE.finditer(text)]
    return text, lambda at: any(start <= at < end for start, end in spans)


def definitions(path):
    """The reference definitions: {name in lower case: (target, title)}."""
    text, _ = _text_and_code(path)
    return {found[1].lower(): (found[2], found[3] or "") for found in _DEFINITION.finditer(text)}


def references(path):
    """The names that the page's links by reference use, in lower case, each as often as it is used."""
    text, is_code = _text_and_code(path)
    return [found[2].lower() for found in _REFERENCE.finditer(text) if not is_code(found.start())]


def links(path):
    """Every link and picture of the page, Markdown's and HTML's, as a list of Link, from top to bottom."""
    text, is_code = _text_and_code(path)
    defined = definitions(path)
    # A bracket in code does not count; the text of a link may contain code.
    found = [(link.start(), link[2], _plain(link[1]), link[3] or "") for link in _INLINE.finditer(text)]
    found += [(link.start(), link[1], "", "") for link in _HTML.finditer(text)]
    for link in _REFERENCE.finditer(text):
        target, title = defined.get(link[2].lower(), (None, ""))
        found.append((link.start(), target, _plain(link[1]), title))
    found = sorted((link for link in found if not is_code(link[0])), key=lambda link: link[0])
    return [Link(target, words, title, text.count("\n", 0, at) + 1) for at, target, words, title in found]


def anchors(path):
    """The valid anchors of the page, as GitHub derives them from the headings."""
    found = collections.Counter()
    names = set()
    for _, line, within, _ in _walk(path):
        title = None if within else _HEADING.match(line)
        if title:
            name = re.sub(r"[^\w\- ]", "", _plain(title[1]).lower()).replace(" ", "-")
            names.add(f"{name}-{found[name]}" if found[name] else name)
            found[name] += 1
    return names


def _plain(text):
    """Without Markdown's signs, in one line."""
    text = re.sub(r"!?\[([^\[\]]*)\]\([^()]*\)", r"\1", text)
    return re.sub(r"\s+", " ", re.sub(r"[`*]", "", text)).strip()

"""README.md and docs/ as a machine reads them: headings, links, fenced blocks, inline commands.

Belongs here: finding the parts of a page. Does not: any test, or what a block must be (the tests beside this module).

A fence's first word is its kind and the rest its mark: "sh needs-a-cluster". A block that follows a line such as
"`docs/page.md`, why:" is that file's content, or an edit of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"^`([\w/.-]+)`[^\n]*:\n\n\Z", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Fence:
    """A fenced block. `file` is the path in the line before it, where there is one."""

    page: Page
    line: int
    kind: str
    mark: str
    text: str
    file: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One Markdown file of the project."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path.name)

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def fences(self) -> list[Fence]:
        return [self._fence(match) for match in _FENCE.finditer(self.text)]

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """The `#fragment` of every heading, by GitHub's rule."""
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(self.prose)}

    @property
    def links(self) -> list[str]:
        return [match["target"] for match in _LINK.finditer(self.prose)]

    @property
    def inline(self) -> list[str]:
        """Every piece of inline code."""
        return _INLINE.findall(self.prose)

    def _fence(self, match: re.Match[str]) -> Fence:
        kind, _, mark = match["info"].strip().partition(" ")
        named = _NAMED.search(self.text[: match.start()])
        line = self.text.count("\n", 0, match.start()) + 1
        return Fence(self, line, kind, mark.strip(), match["text"], named[1] if named else None)


def pages() -> list[Page]:
    """README.md, and everything below docs/."""
    return [Page(README), *(Page(path) for path in sorted((ROOT / "docs").rglob("*.md")))]


def page(name: str) -> Page:
    """A page by its path below docs/."""
    return Page(ROOT / "docs" / name)


def fences(kind: str) -> list[Fence]:
    """Every block of a kind, in all pages."""
    return [fence for one in pages() for fence in one.fences if fence.kind == kind]


def files(name: str) -> dict[str, str]:
    """The content of every file that a page below docs/ shows whole, by its path."""
    return {fence.file: fence.text for fence in page(name).fences if fence.file and fence.kind != "diff"}

"""A hook of mkdocs: docs/index.md gives the navigation, and files outside docs/ that pages link to are in the site.

Below the folder `repository` of the site they are as in the repository. A folder becomes a
page that lists its files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
OUTSIDE: Final = "repository"
_LINK: Final = re.compile(r"(?<=\]\()([^)\s#:]+)(?=(?:#[^)\s]*)?\))")


def on_config(config: Any) -> Any:
    """Take the navigation from the index, and name headings as code hosting sites do: one link works in both."""
    config.mdx_configs["toc"] = {"slugify": _slug}
    config.nav = list(_navigation((DOCS / "index.md").read_text("utf-8")))
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add each file that a page links to, and those that such a page links to."""
    pages = [
        (DOCS / file.src_uri, (DOCS / file.src_uri).read_text("utf-8"))
        for file in files.documentation_pages()
    ]
    seen: set[Path] = set()
    while pages:
        page, text = pages.pop()
        for target in {
            (page.parent / link).resolve() for link in _LINK.findall(text)
        } - seen:
            if (
                target.is_relative_to(DOCS)
                or not target.is_relative_to(ROOT)
                or not target.exists()
            ):
                continue
            seen.add(target)
            if target.is_file() and target.suffix != ".md":
                files.append(
                    File.generated(config, _uri(target), abs_src_path=str(target))
                )
                continue
            text = target.read_text("utf-8") if target.is_file() else _listing(target)
            files.append(
                File.generated(
                    config,
                    _uri(target),
                    content=text,
                    inclusion=InclusionLevel.NOT_IN_NAV,
                )
            )
            pages.append((target if target.is_file() else target / "README.md", text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn each link to a file outside docs/ into one to its place in the site."""
    here = page.file.src_uri
    path = (
        ROOT / here.removeprefix(OUTSIDE + "/")
        if here.startswith(OUTSIDE + "/")
        else DOCS / here
    )

    def led(link: re.Match[str]) -> str:
        target = (path.parent / link[0]).resolve()
        there = target.exists() and target.is_relative_to(ROOT)
        return (
            posixpath.relpath(_uri(target), posixpath.dirname(here))
            if there
            else link[0]
        )

    return _LINK.sub(led, markdown)


def _navigation(index: str) -> Iterator[dict[str, Any]]:
    """Each section of the index with its pages; a page is in the first that leads to it."""
    seen: set[str] = set()
    yield {"Overview": "index.md"}
    for section in index.split("\n## ")[1:]:
        pages = [
            link
            for link in _LINK.findall(section)
            if (DOCS / link).is_file() and "/" not in link
        ]
        pages = [page for page in dict.fromkeys(pages) if page not in seen]
        seen.update(pages)
        yield {section.partition("\n")[0]: pages}


def _listing(folder: Path) -> str:
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    )
    return "\n".join(
        [
            f"# {folder.relative_to(ROOT)}",
            "",
            *(f"- [{name}]({name})" for name in names),
            "",
        ]
    )


def _uri(path: Path) -> str:
    """Where a file or folder of the repository is in the site."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return f"{OUTSIDE}/{path.relative_to(ROOT).as_posix()}{'/README.md' if path.is_dir() else ''}"


def _slug(heading: str, separator: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)

"""What the index of a folder of reports says."""

from __future__ import annotations

import re
from pathlib import Path


def index_of(folder: Path) -> str:
    """What the index says, below its style."""
    return (folder / "index.html").read_text().partition("</style>")[2]


def section_of(folder: Path, job: str) -> str:
    """What the index says of one job."""
    found = re.search(rf"<h2>{job}</h2>(.*?)</section>", index_of(folder), re.DOTALL)
    assert found is not None
    return found[1]


def links_in(page: str) -> list[str]:
    return re.findall(r'href="([^#"]+)"', page)

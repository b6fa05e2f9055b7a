"""Check the links of the built site without a network:  python docs/check_links.py docs/_build

Every link, picture, style and script that points into the site has to be there, and every anchor too; none
may be fetched from elsewhere by itself.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Ids of a page, and what it points at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[tuple[str, str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect ids and links."""
        said = dict(attrs)
        for key in ("id", "name"):
            if said.get(key):
                self.ids.add(str(said[key]))
        for key in ("href", "src"):
            if said.get(key):
                self.links.append((tag, str(said.get("rel")), str(said[key])))


def wrong(site: Path) -> list[str]:
    """Return what is wrong with the links of a site."""
    every = (path for path in sorted(site.rglob("*.html")) if "_static" not in path.relative_to(site).parts)
    pages = {path.resolve(): Page(path) for path in every}
    found = [] if (site / "index.html").resolve() in pages else [f"{site} holds no index.html"]
    for path, page in pages.items():
        for tag, rel, link in page.links:
            parts = urlsplit(link)
            if parts.scheme == "data" or parts.scheme == "mailto":
                continue
            name = f"{path.relative_to(site.resolve())}: {link}"
            if parts.scheme or parts.netloc:
                if tag != "a" and rel not in ("canonical", "index", "search", "prev", "next"):
                    found.append(f"{name} is fetched from elsewhere by itself")
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                found.append(f"{name} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{name}: no such anchor")
    return found


if __name__ == "__main__":
    place = Path(sys.argv[1])
    faults = wrong(place)
    print("\n".join(faults) or "All links lead somewhere.")
    sys.exit(bool(faults))

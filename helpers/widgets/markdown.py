"""A model's Markdown as HTML that can do nothing: no picture, no link, no attribute, no script."""

from __future__ import annotations

from functools import cache

import nh3
from markdown_it import MarkdownIt

TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
}


def html(text: str) -> str:
    """Render Markdown; of what is no tag of TAGS only the words stay."""
    return nh3.clean(_parser().render(text), tags=TAGS, attributes={}, link_rel=None)


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("js-default")

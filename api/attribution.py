"""Attribution of data to its providers. Belongs here: the headers that credit them.

Does not: their licences, which every version of a month has in its provenance.
"""

from __future__ import annotations

from urllib.parse import quote

from city_data.store.plans import Plan

_URL_MARKS = ":/?#[]@!$&'()*+,;=%"


def attribution_headers(*plans: Plan) -> dict[str, str]:
    """`Link` to the licence of every source in the answer (RFC 8288), fallbacks included, and `X-Source` with names."""
    entries = [month_slice.entry for plan in plans for month_slice in plan.slices]
    licences = {
        str(entry.provenance["licence_url"]): str(entry.provenance.get("licence", ""))
        for entry in entries
        if entry.provenance.get("licence_url")
    }
    names = dict.fromkeys(entry.source for entry in entries if entry.source)
    headers = {"Link": ", ".join(_link(url, title) for url, title in licences.items()), "X-Source": ", ".join(names)}
    return {name: text for name, text in headers.items() if text}


def _link(url: str, title: str) -> str:
    """A title with characters that a header does not allow is encoded by RFC 8187."""
    plain = title.isascii() and title.isprintable() and not set(title) & set('"\\')
    text = f'title="{title}"' if plain else f"title*=UTF-8''{quote(title, safe='')}"
    return f'<{quote(url, safe=_URL_MARKS)}>; rel="license"; {text}'

"""The rule for help texts: understood without the code, so the noun or an imperative verb comes first."""

from __future__ import annotations

RIDDLES = {
    "a", "above", "after", "an", "as", "at", "before", "beside", "between", "beyond", "by", "default", "for", "from",
    "how", "if", "in", "of", "on", "only", "so", "since", "that", "the", "those", "to", "under", "until", "up", "what",
    "when", "where", "which", "while", "who", "why", "with",
}  # fmt: skip


def help_complaint(text: str | None) -> str:
    """Reason why a help text is not clear, or "" if it is."""
    if not text or len(text) < 10:
        return f"{text!r} is too short to say anything"
    first = text.split()[0].strip(".,:;()").lower()
    return f"{text!r} begins with {first!r}; put the noun or the verb first" if first in RIDDLES else ""

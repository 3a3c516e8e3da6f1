"""The smallest statement that still leaks: tokens are taken away as long as the finding stays."""

import re

from assault import Assault
from session import Script

TOKEN = re.compile(r"\s+|'(?:[^']|'')*'|\w+|.", re.S)
TRIES = 300


def leaks(target, script):
    assault = Assault(target, keep=1)
    tally = assault.run([script], 10 ** 9)
    return sum(tally.bites.values()) > 0


def shrink(target, finding):
    """The text of the smallest script found, or None where the finding does not come again."""
    tries = [TRIES]
    script = finding.script

    def still(statements):
        tries[0] -= 1
        return tries[0] > 0 and leaks(target, Script(script.category, statements, script.how))

    if not still(script.statements):
        return None
    statements = fewer(script.statements, lambda parts: still(parts))
    for i, statement in enumerate(statements):
        def with_this(tokens, i=i):
            return still(statements[:i] + ["".join(tokens)] + statements[i + 1:])
        statements[i] = "".join(fewer(TOKEN.findall(statement), with_this))
    return " ;; ".join(statements)


def fewer(parts, still):
    """PARTS without the longest runs that STILL can do without."""
    size = max(1, len(parts) // 2)
    while size >= 1:
        at = 0
        while at < len(parts) and len(parts) > 1:
            rest = parts[:at] + parts[at + size:]
            if rest and still(rest):
                parts = rest
            else:
                at += size
        size //= 2
    return list(parts)

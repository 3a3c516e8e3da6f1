"""The covert channel of the public log: how much somebody can write into it by choosing what he does.

Whoever reads the log sees roll-ups, disclosures and when checkpoints come; whoever is recorded chooses
how often he logs in, what he asks, how much comes back, and what is refused. What follows counts the
outcomes that a reader could tell apart if nobody else were at work and nothing were ever lost: the
capacity is their binary logarithm, an upper bound for every code. Run as a program, this file prints it;
tests/integration/test_covert.py plays sender and receiver through a real gateway.

What is in the leaves and nobody at work can choose: `id`, `d`, `chain`, `tags` are random or hashes of
random values; `region`, `entity`, `purpose`, `grant`, `epoch`, references and digests are the policy's,
control's or the operator's; roll-ups stand in the order of their words and come at fixed times, like
seals, and no checkpoint comes between them but for a disclosure or the operator's doing."""

import math
from fractions import Fraction

BANDS = 54  # of a number below 2^53, by powers of two: none, 1, 2, 4, ... 2^52

# What one gateway can do at most in a second; a sender is slower.
SESSIONS, STATEMENTS, ROWS, BYTES, DENIALS = 10_000, 200_000, 20_000_000, 10_000_000_000, 200_000


def bands(a_second, minutes):
    """Bands of a number that grows by A_SECOND at most, none among them."""
    return min(BANDS, (int(a_second) * 60 * minutes).bit_length() + 1)


def session_outcomes(minutes):
    """Of one group: no leaf, `few`, or four bands (sessions is at least 1; rows bring bytes). A transfer
    repeats rows and bytes of its group, so it adds none."""
    sessions = bands(SESSIONS, minutes) - 1
    statements = bands(STATEMENTS, minutes)
    rows, size = bands(ROWS, minutes), bands(BYTES, minutes)
    answers = size + (rows - 1) * (size - 1)
    return 2 + sessions * statements * answers


def denial_outcomes(minutes):
    """Of one entity: no leaf, or a band. The rule is not said."""
    return bands(DENIALS, minutes)


def log2(outcomes):
    """Also of numbers that no float holds."""
    return outcomes.bit_length() - 1 + math.log2(Fraction(outcomes, 1 << (outcomes.bit_length() - 1)))


def person_bits(minutes, groups=1, entities=1):
    """Bits an hour without a grant: GROUPS places and rooms that he can act in, and as many entities as
    have logins he can try."""
    return Fraction(60, minutes) * Fraction(
        log2(session_outcomes(minutes)) * groups + log2(denial_outcomes(minutes)) * entities)


def chains(classes):
    """[ways of saying something new exactly j times], j = 0, 1, ...: each disclosure of an hour has a
    class that none before it had. Counted by how many classes were shown; any mixture of old ones may be
    in it again, and a reader sees it."""
    ways = {(0, 0): 1}  # (classes shown, leaves): how many
    for leaves in range(classes):
        for shown in range(classes + 1):
            here = ways.get((shown, leaves), 0)
            for more in range(1, classes - shown + 1):
                key = (shown + more, leaves + 1)
                ways[key] = ways.get(key, 0) + here * math.comb(classes - shown, more) * 2 ** shown
    return [sum(n for (_, leaves), n in ways.items() if leaves == j) for j in range(classes + 1)]


def disclosure_outcomes(classes, moments=3600):
    """Of one hour under a grant on one subject; MOMENTS: how finely a reader can tell when a leaf came
    (cosignatures name seconds)."""
    return sum(ways * math.comb(moments, j) for j, ways in enumerate(chains(classes)))


def grant_bits(minutes, classes):
    """Bits an hour under a grant on one subject, what he can do without it included: another room is a
    group more."""
    return float(person_bits(minutes, groups=2)) + log2(disclosure_outcomes(classes))


def once_bits(hours):
    """A grant's own leaf comes with the first session under it: one moment of its HOURS, once."""
    return log2(hours * 3600)


def unmerged_bits(classes, a_second=1000):
    """The same with a leaf for every disclosure, as it was before repeats were merged."""
    return 3600 * a_second * math.log2(2 ** classes - 1)


SETTINGS = {"daily (default)": 1440, "every 6 h": 360, "hourly": 60, "every minute (demonstration, tests)": 1}


def main():
    print(f"{'bits an hour':<38}{'nobody''s login':>15}{'a person':>10}{'two places':>12}"
          f"{'grant, 1 class':>16}{'2 classes':>11}{'8 classes':>11}")
    for name, minutes in SETTINGS.items():
        stranger = 60 / minutes * log2(denial_outcomes(minutes))
        cells = [stranger, float(person_bits(minutes)), float(person_bits(minutes, groups=2)),
                 grant_bits(minutes, 1), grant_bits(minutes, 2), grant_bits(minutes, 8)]
        print(f"roll-ups {name:<29}" + "".join(
            f"{cell:>{width}.1f}" for cell, width in zip(cells, (15, 10, 12, 16, 11, 11))))
    print(f"once a grant of 24 h: {once_bits(24):.1f} bits, by when it is first used, and as many by when it ends")


if __name__ == "__main__":
    main()

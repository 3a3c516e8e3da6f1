#!/usr/bin/python3
"""./dev attack: hostile SQL at a real region, by hand and generated, as a person without a grant and
with one, straight at the database and through the gateway. Prints a table, writes JSON; status 1 when
anything protected came out.

    canary.py    what is planted and how it is searched for
    world.py     the region, and the same tables without protection
    grammar.py   random SQL that knows its types
    ideas/       one kind of attack a file
    by_hand/     statements that somebody thought of
    session.py   a pipelined client that keeps every byte
    assault.py   an attacker and the judge of what he gets
    shrink.py    the smallest statement that still leaks
    oracle.py    does an answer change with a hidden value? (--oracle)
    linkage.py   who is it? (--linkage)
    signed.py    at the gateway, under a grant that signatures opened (--signed)"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "support")]

import linkage  # noqa: E402
import oracle  # noqa: E402
import signed  # noqa: E402
from assault import Assault, Tally, Target, generated, handwritten  # noqa: E402
from certificates import Authority  # noqa: E402
from shrink import shrink  # noqa: E402
from world import World  # noqa: E402

# Most statements go straight at the standby, where persons are served and where nothing of ours
# but the policy's objects stands in the way.
SHARES = {("masked", "standby"): 36, ("masked", "open"): 15, ("granted", "standby"): 20,
          ("stats", "standby"): 5,
          ("masked", "primary"): 10, ("granted", "primary"): 3, ("stats", "primary"): 3,
          ("masked", "gateway"): 5, ("granted", "gateway"): 2, ("stats", "gateway"): 1}


def shares(world, room=None, bite=False):
    """{(room, place): share of the statements, together 1}."""
    if isinstance(world, signed.SignedWorld):
        return {("granted", "gateway"): 1.0}
    if bite:
        return {("masked", "bare"): 1.0}
    chosen = {key: share for key, share in SHARES.items()
              if world.has(key[0]) and room in (None, key[0])}
    return {key: share / sum(chosen.values()) for key, share in chosen.items()}


def attacker(world, room, place, seed, count, only, keep, results):
    """One process: all that is written by hand, then COUNT generated statements."""
    try:
        target = Target(world, room, place)
        tally = Assault(target, keep).run(
            (script for script in handwritten(target) if only is None or script.category in only),
            10 ** 9)
        if only is None or "startup" in only:
            tally.add(Assault(target, keep).start_sessions())
        stream = generated(f"{seed} {room} {place}", target.tables(), only)
        tally.add(Assault(target, keep).run(stream, count))
        results.put((room, place, tally, None))
    except BaseException as error:  # the parent must hear of it
        results.put((room, place, Tally(), f"{type(error).__name__}: {error}"))


def run(world, statements, seed, room=None, bite=False, only=None, keep=3, processes=None):
    """{(room, place): Tally}; raises RuntimeError when an attacker could not go on."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    waiting = [(r, p, round(share * statements)) for (r, p), share in
               sorted(shares(world, room, bite).items(), key=lambda item: -item[1])]
    running, tallies, wrong = {}, {}, []
    while waiting or running:
        while waiting and len(running) < (processes or 2 * (os.cpu_count() or 2)):
            r, p, count = waiting.pop(0)
            child = context.Process(target=attacker,
                                    args=(world, r, p, seed, count, only, keep, results))
            child.start()
            running[r, p] = child
        r, p, tally, error = results.get()
        tallies[r, p] = tally
        running.pop((r, p)).join()
        if error:
            wrong.append(f"{r} at {p}: {error}")
    if wrong:
        raise RuntimeError("; ".join(wrong))
    return tallies


def total(tallies):
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    return whole


def shrink_findings(world, tallies, most=5):
    for (room, place), tally in tallies.items():
        for finding in tally.findings[:most]:
            finding.shrunk = shrink(Target(world, room, place), finding)


# --- report ---------------------------------------------------------------------------------------


def print_table(tallies, bite):
    whole = total(tallies)
    word = "bites" if bite else "findings"
    print(f"{'category':<16}{'statements':>12}{'errors':>10}{word:>10}")
    for name in sorted(whole.statements):
        print(f"{name:<16}{whole.statements[name]:>12,}{whole.errors[name]:>10,}{whole.bites[name]:>10,}")
    print(f"{'all':<16}{sum(whole.statements.values()):>12,}{sum(whole.errors.values()):>10,}"
          f"{sum(whole.bites.values()):>10,}\n")
    for (room, place), tally in sorted(tallies.items()):
        print(f"{room + ' at ' + place:<20}{sum(tally.statements.values()):>8,} statements"
              f"{sum(tally.errors.values()):>8,} errors{sum(tally.bites.values()):>8,} {word}")


def print_findings(tallies):
    for tally in tallies.values():
        for finding in tally.findings:
            print(f"\n{finding.script.category}, {finding.target}: {finding.what}\n"
                  f"  {finding.script.text()}\n  … {finding.excerpt!r}")
            if finding.shrunk:
                print(f"  smallest: {finding.shrunk}")


def report(tallies, options, seconds):
    whole = total(tallies)
    return {"seed": options.seed, "bite": options.bite, "seconds": round(seconds, 1),
            "statements": sum(whole.statements.values()), "findings": sum(whole.bites.values()),
            "targets": {f"{room} at {place}": sum(tally.statements.values())
                        for (room, place), tally in sorted(tallies.items())},
            "categories": {name: {"statements": whole.statements[name],
                                  "errors": whole.errors[name],
                                  "findings": whole.bites[name]} for name in sorted(whole.statements)},
            "sqlstates": dict(whole.codes.most_common()),
            "examples": [finding.as_dict() for finding in whole.findings]}


# --- commands -------------------------------------------------------------------------------------


def attack_statements(folder, authority, options):
    world = World(folder, authority, options.build, options.sandbox)
    try:
        world.start()
        begun = time.monotonic()
        tallies = run(world, options.statements, options.seed, options.room, options.bite,
                      options.only)
        seconds = time.monotonic() - begun
        if not options.bite:
            shrink_findings(world, tallies)
    finally:
        world.close()
    print_table(tallies, options.bite)
    print_findings({} if options.bite else tallies)
    written = report(tallies, options, seconds)
    print(f"\n{written['statements']:,} statements in {seconds:.0f} s")
    if options.bite:
        return written, not all(entry["findings"] for entry in written["categories"].values())
    return written, written["findings"] > 0


def attack_values(folder, authority, options):
    """The differential oracle, over a hundredth of the statements: it runs each many times."""
    world = World(folder, authority, options.build, options.sandbox)
    try:
        world.start()
        count = options.statements // 100
        runs = {"masked": oracle.over_masked(world, count, options.seed),
                "granted": oracle.over_granted(world, count, options.seed),
                "granted, on record": oracle.over_gateway(world)}
    finally:
        world.close()
    for name, run_of_it in runs.items():
        print(f"{name:<20}{run_of_it.compared:>8,} answers compared{run_of_it.different:>8,} differ"
              f"{len(run_of_it.findings):>8,} findings")
        for finding in run_of_it.findings[:10]:
            print(f"  {finding.script.text()}\n  {finding.what}: {finding.excerpt!r}")
    written = {name: {"compared": one.compared, "different": one.different,
                      "findings": [finding.as_dict() for finding in one.findings]}
               for name, one in runs.items()}
    return written, any(one.findings for one in runs.values())


def attack_signed(folder, authority, options):
    """All of it at the gateway, under one grant of one subject that two officers signed for."""
    world = signed.SignedWorld(folder, authority, options.build, options.sandbox)
    try:
        looked = signed.LookUps(world, max(50, options.statements // 100), options.seed)
        print(f"who looked: {looked.done:,} look-ups by key, {looked.found:,} showed somebody;"
              f" under {looked.exact} grants the list must be exactly that", flush=True)
        differ = looked.compare()
        print(f"who looked: {len(looked.shown)} lists, {len(differ)} differ from the truth {differ or ''}",
              flush=True)
        recorded = signed.over_record(world, max(24, options.statements // 200), options.seed)
        print(f"on record: {recorded.compared:,} answers compared, {recorded.different:,} differ,"
              f" {len(recorded.findings)} findings", flush=True)
        for finding in recorded.findings[:10]:
            print(f"  {finding.script.text()}\n  {finding.what}: {finding.excerpt!r}")
        begun = time.monotonic()
        tallies = run(world, options.statements, options.seed, only=options.only)
        seconds = time.monotonic() - begun
    finally:
        world.close()
    print_table(tallies, False)
    print_findings(tallies)
    written = report(tallies, options, seconds)
    written["who_looked"] = {"look_ups": looked.done, "showed": looked.found, "exact_grants": looked.exact,
                             "lists": len(looked.shown), "differ": {str(key): two for key, two in differ.items()}}
    written["on_record"] = {"compared": recorded.compared, "different": recorded.different,
                            "findings": [finding.as_dict() for finding in recorded.findings]}
    print(f"\n{written['statements']:,} statements in {seconds:.0f} s")
    return written, bool(written["findings"] or differ or recorded.findings)


def attack_identities(folder, authority, options):
    town = linkage.Town(folder, authority, options.build, options.sandbox, users=options.users)
    results = []
    try:
        for attack in linkage.ATTACKS:
            results.append(linkage.run(town, attack))
            print(results[-1], flush=True)
    finally:
        town.close()
    written = {result.attack: {"found": result.right, "tried": result.tried} for result in results}
    return written, any(result.share > result.high for result in results)


def main():
    parser = argparse.ArgumentParser(prog="./dev attack")
    parser.add_argument("--build", type=os.path.abspath, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--sandbox", default="full", help=argparse.SUPPRESS)
    parser.add_argument("--statements", type=int, default=100_000, help="to generate (100,000)")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--room", choices=["masked", "granted", "stats"])
    parser.add_argument("--only", action="append", metavar="CATEGORY")
    parser.add_argument("--bite", action="store_true",
                        help="at the unprotected tables: it must find")
    parser.add_argument("--oracle", action="store_true",
                        help="change hidden values: answers must not, or be announced")
    parser.add_argument("--signed", action="store_true",
                        help="at the gateway, under a grant that signatures opened; and who looked")
    parser.add_argument("--linkage", action="store_true",
                        help="who can be found in the masked rows")
    parser.add_argument("--users", type=int, default=2000, help="people for --linkage (2,000)")
    parser.add_argument("--json", default="build/attack.json", metavar="FILE")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="ringfence-attack-", dir="/tmp")
    os.chmod(folder, 0o755)
    what = attack_identities if options.linkage else attack_statements
    if options.oracle:
        what = attack_values
    if options.signed:
        what = attack_signed
    try:
        written, wanting = what(folder, Authority(os.path.join(folder, "ca")), options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as out:
        json.dump(written, out, indent=1)
    print(f"written: {options.json}")
    return 1 if wanting else 0


if __name__ == "__main__":
    sys.exit(main())

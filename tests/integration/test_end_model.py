"""From a grant in the database to a byte at a client: every order in which two servers, a gateway, the
clocks and a policy can move, with a standby that lags as long as it likes and a control that dies.

test_requests_model.py asks how a grant comes to be open; this asks how long anybody sees clear values by
it. A model of src/control/grants.h (rounds, leases, proofs), src/priv/grant_table.h (what workers look at)
and src/gate/grant.h (what they ask before they release), all states of it visited. Time goes in half
seconds; a lease for grants (GRANT_LEASE_MS) is two of them. One gateway stands for all: they have nothing
in common but the servers, and what another one does to these (opening, closing) is among what the model
lets happen to them at any time. test_granted.py, test_grants.py and
test_approvals.py try the same sentences on real servers, one order at a time.

Nobody sees a clear value
  by a grant that no signatures prove, whatever stands in the database;
  longer than a lease after the grant was closed on the primary (revoked, used up, expired and reaped);
  at all after its time by the clock that only goes forward, wherever the wall clock is put;
  longer than a lease after a policy began to rule at that gateway which does not allow the grant, and
  at all by a lease that was given under that policy.
Faults planted in the model must be found, or it would prove nothing."""

from typing import NamedTuple

import pytest

LEASE = 2     # half seconds
LIFE = 3      # of the grant
NONE, OPEN, CLOSED = range(3)
LONG = LEASE + 1  # ago: as good as for ever


class Gateway(NamedTuple):
    alive: bool = True          # its control
    rules: int = 0              # the policy that rules here: 0 allows the grant, 1 does not
    changed: int = LONG         # how long it has
    primary: int = -1           # what that server answered in the round under way; -1: nothing yet
    standby: int = -1
    asked: int = 0              # how long ago the older question of this round was sent
    proven: int = -1            # under which policy the grant was last found true; -1: not
    shown: int = NONE           # in the table: NONE, OPEN or CLOSED
    lease: int = 0              # that is left
    shown_under: int = 0        # the policy by which the lease was given


class World(NamedTuple):
    primary: int = NONE
    standby: int = NONE
    closed: int = 0             # how long the primary has had it closed
    now: int = 0                # the clock that only goes forward, from the grant's opening
    wall: int = 0               # what the other one says
    gateway: Gateway = Gateway()


class Violation(Exception):
    pass


class Model:
    def __init__(self, honest=True, faults=()):
        self.honest, self.faults = honest, set(faults)
        self.releases = 0

    def proves(self, gateway):
        """proofs_answer(): signatures, and the policy that rules now."""
        if "rows are believed" in self.faults:
            return True
        return self.honest and gateway.rules == 0

    def is_over(self, world):
        """grant_entry_is_over(), by the entry's two ends."""
        if "the wall clock alone counts" in self.faults:
            return world.wall >= LIFE
        return world.now >= LIFE or world.wall >= LIFE

    def publish(self, world, g):
        """conclude(): what both servers said, if it is proven; and a lease from the older question on."""
        said = {g.primary, g.standby}
        shown = CLOSED if CLOSED in said else OPEN if said == {OPEN} else NONE
        if "the primary is not asked" in self.faults:
            shown = g.standby
        if shown == OPEN and g.proven != g.rules and "a proof outlives its policy" not in self.faults:
            shown = NONE
        if shown == OPEN and g.proven < 0:
            shown = NONE
        age = 0 if "a lease counts from its answer" in self.faults else g.asked
        return g._replace(shown=shown, lease=max(0, LEASE - age), shown_under=g.rules, primary=-1, standby=-1)

    def is_answered(self, g):
        return g.standby >= 0 and (g.primary >= 0 or "the primary is not asked" in self.faults)

    def control(self, world, g):
        """What the control of one gateway may do next."""
        if not g.alive:
            yield g._replace(alive=True)  # a new one: it adopts the table, and knows nothing itself
            return
        yield g._replace(alive=False, primary=-1, standby=-1, proven=-1, asked=0)
        if g.primary < 0:
            yield g._replace(primary=world.primary, asked=g.asked if g.standby >= 0 else 0)
        if g.standby < 0:
            yield g._replace(standby=world.standby, asked=g.asked if g.primary >= 0 else 0)
        if self.is_answered(g) and g.primary == OPEN or "the primary is not asked" in self.faults:
            if self.proves(g) and g.proven != g.rules:
                yield g._replace(proven=g.rules)
        if self.is_answered(g):
            yield self.publish(world, g)
        if g.rules == 0:
            kept = g.proven if "a proof outlives its policy" in self.faults else -1
            yield g._replace(rules=1, changed=0, proven=kept, primary=-1, standby=-1, asked=0)

    def release(self, world, g):
        """grant_standing() says GOOD: a byte leaves."""
        has_lease = g.lease > 0 or "leases are not looked at" in self.faults
        if g.shown != OPEN or not has_lease or self.is_over(world):
            return
        self.releases += 1
        if not self.honest:
            raise Violation("seen by a grant that nothing proves")
        if world.primary == CLOSED and world.closed >= LEASE:
            raise Violation("seen longer than a lease after the end")
        if world.now >= LIFE:
            raise Violation("seen after its time")
        if g.rules == 1 and (g.changed >= LEASE or g.shown_under == 1):
            raise Violation("seen though the policy does not allow it any more")

    def following(self, world):
        if world.primary == NONE:
            yield world._replace(primary=OPEN)
        elif world.primary == OPEN:
            yield world._replace(primary=CLOSED, closed=0)
        if world.standby < world.primary:
            yield world._replace(standby=world.standby + 1)  # one change is replayed
        self.release(world, world.gateway)
        for after in self.control(world, world.gateway):
            yield world._replace(gateway=after)
        if world.primary != NONE and world.now < LIFE + LONG:
            for wall in {world.wall + 1, max(0, world.wall - 2)}:  # it goes on, or is put back
                yield world._replace(now=world.now + 1, wall=min(wall, LIFE), closed=min(world.closed + 1, LONG),
                                     gateway=self.tick(world.gateway))

    @staticmethod
    def tick(g):
        is_asking = g.primary >= 0 or g.standby >= 0
        return g._replace(lease=max(0, g.lease - 1), changed=min(g.changed + 1, LONG),
                          asked=min(g.asked + 1, LONG) if is_asking else 0)

    def explore(self):
        """Visits everything, and gives it."""
        seen, left = {World()}, [World()]
        while left:
            for world in self.following(left.pop()):
                if world not in seen:
                    seen.add(world)
                    left.append(world)
        return seen


def test_nobody_sees_longer_than_a_lease_what_has_ended():
    model = Model()
    seen = model.explore()
    assert model.releases > 1000 and len(seen) > 50000, (model.releases, len(seen))
    assert any(w.primary == CLOSED and w.standby == OPEN and w.closed == LONG for w in seen), "it lags for ever"


def test_nobody_sees_anything_by_rows_that_nothing_proves():
    model = Model(honest=False)
    assert len(model.explore()) > 1000 and model.releases == 0


@pytest.mark.parametrize("fault, honest", [
    ("rows are believed", False), ("the wall clock alone counts", True), ("the primary is not asked", True),
    ("a proof outlives its policy", True), ("a lease counts from its answer", True),
    ("leases are not looked at", True)])
def test_a_fault_in_the_model_is_found(fault, honest):
    with pytest.raises(Violation):
        Model(honest, [fault]).explore()

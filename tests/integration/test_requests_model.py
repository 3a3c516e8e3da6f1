"""Every order in which two gateways can work on one request, with crashes, clocks and administrators.

A model of what registrar, control and database do, one committed statement at a time; the steps are
read from ringfence.request_step of a real database, and the conditions are those of
src/enforce/tbl/request_function.def, which test_requests.py tries in the database itself. All states
that can be reached are visited. Faults planted in the model must be found, or it would prove nothing.

What is in a state: the request's state and whether its leaf is known; of each of three approvers what
he has said and whether he was suspended since (one at a time, of those who deny); the grant (none, open,
closed, or used up: closed for that reason), how often one was opened, the clock; and of both gateways
what they are in the middle of. A gateway may die between any two statements and forgets what it was
doing; what it had committed stays."""

import itertools
import os

import pytest

from applied import Server

APPROVERS = 3
NEEDED = 2  # of them
ENDED = {"denied", "withdrawn", "lapsed", "expired", "revoked", "used_up"}
SAID_YES, YES_ON_RECORD, YES = 1, 2, 3  # what an approver has said, one of the first two or none
SAID_NO, NO_ON_RECORD, NO = 4, 8, 12    # beside it, likewise
SUSPENDED = 16                          # beside both
IDLE = ("", 0, -1)


class Violation(Exception):
    pass


class Model:
    """Without FAULTS what is built. A fault is the name of what is left out."""

    def __init__(self, steps, faults=()):
        self.steps, self.faults = dict(steps), set(faults)
        self.despite = set()  # the denials that counted nothing when it opened
        if "a step too many" in self.faults:
            self.steps["withdrawn", "open"] = "open"

    # -- what the database's functions do, each a transaction ----------------------------------------

    def yes(self, votes):
        enough = SAID_YES if "approvals count unrecorded" in self.faults else YES_ON_RECORD
        return sum(vote & YES >= enough and not vote & SUSPENDED for vote in votes)

    def denied(self, votes):
        if "denials are not looked at" in self.faults:
            return False
        counts = NO if "denials count unrecorded" in self.faults else NO_ON_RECORD
        heard = 0 if "the suspended are heard" in self.faults else SUSPENDED
        return any(vote & counts and not vote & heard for vote in votes)

    def agreed(self, votes):
        return self.yes(votes) >= 1 and not self.denied(votes)

    def next_state(self, s, event):
        """request_next() and the conditions beside it: the next state, or None."""
        state, leaf, votes, grant, opened, clock = s
        after = self.steps.get((state, event))
        if event in ("complete", "open") and not self.agreed(votes):
            return None
        if event == "expire" and grant == "open" and clock < 2:
            return None
        return after

    def enter(self, s, event, after):
        state, leaf, votes, grant, opened, clock = s
        if event == "logged":
            leaf = True
        if event == "open":
            self.check_opening(leaf, votes, opened, state)
            grant, opened, clock = "open", opened + 1, 1
        elif event in ("expire", "revoke", "use_up") and "the grant is not closed" not in self.faults:
            grant = "closed" if grant == "open" else grant
        return (after, leaf, votes, grant, opened, clock)

    def check_opening(self, leaf, votes, opened, state):
        if sum(vote & YES == YES_ON_RECORD for vote in votes) < NEEDED:
            raise Violation("opened without enough approvals on record")
        if any(vote & (NO_ON_RECORD | SUSPENDED) == NO_ON_RECORD for vote in votes):
            raise Violation("opened although somebody had denied")
        if not leaf:
            raise Violation("opened without the request on record")
        if opened:
            raise Violation("opened twice")
        if state in ENDED:
            raise Violation(f"opened when it was {state}")
        self.despite |= {"unrecorded" for vote in votes if vote & (SAID_NO | SUSPENDED) == SAID_NO}
        self.despite |= {"suspended" for vote in votes if vote & NO_ON_RECORD}

    def check(self, s):
        state, _, _, grant, _, _ = s
        if grant == "open" and state != "open":
            raise Violation(f"somebody is seen though the request is {state}")
        if grant == "used up" and state in ("expired", "revoked"):
            raise Violation(f"the grant was used up, and the request is {state}")

    # -- what gateways do, one statement after the other ---------------------------------------------
    # Between them stands the writing of leaves, which changes nothing that others see.

    JOBS = {"log": ["move logged"], "withdraw": ["move withdraw"], "revoke": ["move revoke"],
            "use_up": ["move use_up"], "expire": ["move expire"], "sweep": ["sweep"],
            "tend": ["judge approved", "move open"], "spend": ["spend"],
            "approve": ["vote", "record", "judge waiting", "move complete", "judge approved", "move open"],
            "deny": ["vote", "record", "move deny"]}

    def jobs(self, state):
        """What a gateway may begin. Anything may be tried at any time; what must fail at its first
        statement whatever happens is left out."""
        yield from ((job, 0, -1) for job in ("log", "withdraw", "revoke", "use_up", "expire", "sweep", "tend",
                                                "spend"))
        if state not in ENDED and state != "open":
            yield from ((job, 0, a) for job in ("approve", "deny") for a in range(APPROVERS))

    def work(self, s, job):
        """The states after the next statement of JOB: [(s, job)]."""
        name, at, who = job[:3]
        what, _, how = self.JOBS[name][at].partition(" ")
        go_on = (name, at + 1, who) if at + 1 < len(self.JOBS[name]) else IDLE
        state, leaf, votes, grant, opened, clock = s
        if what == "vote":
            add = SAID_YES if name == "approve" else SAID_NO
            if state != "waiting" or votes[who] & (NO | SUSPENDED) or (add == SAID_YES and votes[who]):
                return [(s, IDLE)]
            return [(self.with_vote(s, who, votes[who] + add), go_on)]
        if what == "record":
            said, on_record = (SAID_YES, YES_ON_RECORD) if name == "approve" else (SAID_NO, NO_ON_RECORD)
            return [(self.with_vote(s, who, votes[who] ^ (said | on_record)) if votes[who] & said else s, go_on)]
        if what == "judge":  # reads, and acts on it later
            enough = self.yes(votes) >= NEEDED and not self.denied(votes)
            return [(s, go_on if state == how and enough else IDLE)]
        if what == "spend":  # control: grant_use_up(), one transaction
            if grant != "open":
                return [(s, IDLE)]
            told = state == "open" and "the end is not told" not in self.faults
            return [((self.steps[state, "use_up"] if told else state, leaf, votes, "used up", opened, clock), go_on)]
        if what == "sweep":
            how = "lapse" if state != "open" else "use_up" if grant == "used up" and \
                "a sweep looks at the clock alone" not in self.faults else "revoke" if clock < 2 else "expire"
            if state == "open" and grant not in ("closed", "used up") or state in ENDED:
                return [(s, IDLE)]
            if state != "open" and clock == 0:
                return [(s, IDLE)]
        return self.move(s, job, how, go_on)

    def move(self, s, job, event, go_on):
        if "rows are not locked" not in self.faults:
            after = self.next_state(s, event)
            return [(self.enter(s, event, after), go_on) if after else (s, IDLE)]
        if len(job) == 3:  # looked at, not locked; written later, whatever has happened since
            after = self.next_state(s, event)
            return [(s, (*job, after) if after else IDLE)]
        return [(self.enter(s, event, job[3]), go_on)]

    @staticmethod
    def with_vote(s, who, vote):
        state, leaf, votes, grant, opened, clock = s
        return (state, leaf, votes[:who] + (vote,) + votes[who + 1:], grant, opened, clock)

    def around(self, s):
        """What happens besides: the clock goes either way, control reaps, an administrator closes, an
        approver is suspended or is not any more."""
        state, leaf, votes, grant, opened, clock = s
        for other in (clock - 1, clock + 1):
            if 0 <= other <= 2:
                yield (state, leaf, votes, grant, opened, other)
        if grant == "open":
            yield (state, leaf, votes, "closed", opened, clock)
        if state in ENDED:
            return
        for who, vote in enumerate(votes):
            if vote & SUSPENDED or (vote & NO and not any(other & SUSPENDED for other in votes)):
                yield self.with_vote(s, who, vote ^ SUSPENDED)

    def following(self, whole):
        s, gateways = whole
        for other in self.around(s):
            yield other, gateways
        for i, job in enumerate(gateways):
            if job == IDLE:
                mine = [after for begun in self.jobs(s[0]) for after in self.work(s, begun)]
            else:
                mine = [(s, IDLE), *self.work(s, job)]  # it dies, or goes on
            for after, doing in mine:
                yield after, tuple(sorted(gateways[:i] + (doing,) + gateways[i + 1:]))

    @staticmethod
    def canonical(whole):
        """Approvers are alike: of all ways to number them the first."""
        (state, leaf, votes, *rest), gateways = whole
        if not any(votes) and all(g[2] < 0 for g in gateways):
            return whole
        best = min((tuple(votes[i] for i in order), tuple(sorted(
            g if g[2] < 0 else (g[0], g[1], order.index(g[2]), *g[3:]) for g in gateways)))
            for order in itertools.permutations(range(APPROVERS)))
        return ((state, leaf, best[0], *rest), best[1])

    def explore(self):
        """Visits everything; the states of the request that were reached, and how many states."""
        first = (("asked", False, (0,) * APPROVERS, "none", 0, 0), (IDLE, IDLE))
        seen, left = {first}, [first]
        while left:
            for whole in self.following(left.pop()):
                whole = self.canonical(whole)
                if whole not in seen:
                    self.check(whole[0])
                    seen.add(whole)
                    left.append(whole)
        return {whole[0][0] for whole in seen}, len(seen)


class Glass:
    """One person breaks the glass, as often as he can, at two gateways; somebody reviews, or nobody does.

    Of each request: its state, whether its leaf is known, the grant, whether it was reviewed. The steps are
    the database's; the conditions those of request_add(), request_move(), request_open(), review_add()."""

    MOST = 3     # requests
    ALLOWED = 1  # not reviewed: break_glass.open_at_most
    NEW = ("asked", False, "none", False)
    JOBS = {"break": ["count", "add", "move break", "move open"], "tend": ["move open"],
            "withdraw": ["move withdraw"], "lapse": ["move lapse"], "revoke": ["move revoke"],
            "expire": ["move expire"], "use_up": ["move use_up"], "review": ["review"]}

    def __init__(self, steps, faults=()):
        self.steps, self.faults = steps, set(faults)
        self.opened = 0

    def may_add(self, requests):
        over = {"denied", "withdrawn", "lapsed"} | (ENDED if "ended ones are not counted" in self.faults else set())
        return sum(r[0] not in over and not r[3] for r in requests) < self.ALLOWED

    def move(self, requests, which, event):
        """The requests behind request_move() or request_open(); None where it refuses."""
        state, leaf, grant, reviewed = requests[which]
        after = self.steps.get((state, event))
        if after is None:
            return None
        if event == "break":
            leaf = "the leaf comes later" not in self.faults
        if event == "open":
            if grant != "none":
                raise Violation("opened twice")
            if not leaf:
                raise Violation("opened without the request on record")
            grant, self.opened = "open", self.opened + 1
        elif event in ("expire", "revoke", "use_up"):
            grant = "closed"
        moved = (after, leaf, grant, reviewed)
        return requests[:which] + (moved,) + requests[which + 1:]

    def work(self, requests, job):
        """(requests, job) behind the next statement of JOB: (name, at, which request)."""
        name, at, which = job
        what, _, how = self.JOBS[name][at].partition(" ")
        last = at + 1 == len(self.JOBS[name])
        if what == "count":  # one with what follows, but for the fault
            if len(requests) == self.MOST or not self.may_add(requests):
                return requests, IDLE
            return requests, (name, at + 1, -1)
        if what == "add":
            is_full = len(requests) == self.MOST
            if is_full or not ("the counter is not locked" in self.faults or self.may_add(requests)):
                return requests, IDLE
            return requests + (self.NEW,), (name, at + 1, len(requests))
        if what == "review":
            state, leaf, grant, reviewed = requests[which]
            if state not in ("open", "expired", "revoked", "used_up") or reviewed:
                return requests, IDLE
            return requests[:which] + ((state, leaf, grant, True),) + requests[which + 1:], IDLE
        moved = self.move(requests, which, how)
        return (requests, IDLE) if moved is None else (moved, IDLE if last else (name, at + 1, which))

    def check(self, requests):
        if sum(r[2] != "none" and not r[3] for r in requests) > self.ALLOWED:
            raise Violation("seen again before anybody looked at the last time")
        if any(r[2] == "open" and r[0] != "open" for r in requests):
            raise Violation("somebody is seen though the request has ended")

    def following(self, whole):
        requests, gateways = whole
        for i, job in enumerate(gateways):
            begun = [job] if job != IDLE else [("break", 0, -1)] + [
                (name, 0, which) for name in self.JOBS if name != "break" for which in range(len(requests))]
            after = [self.work(requests, one) for one in begun] + [(requests, IDLE)]  # or it dies
            for changed, doing in after:
                yield changed, tuple(sorted(gateways[:i] + (doing,) + gateways[i + 1:]))

    def explore(self):
        seen, left = {((), (IDLE, IDLE))}, [((), (IDLE, IDLE))]
        while left:
            for whole in self.following(left.pop()):
                if whole not in seen:
                    self.check(whole[0])
                    seen.add(whole)
                    left.append(whole)
        return {request[0] for whole in seen for request in whole[0]}, len(seen)


@pytest.fixture(scope="module")
def steps(scratch, authority, build):
    server = Server(os.path.join(scratch, "model"), authority, build)
    region = server.new_database()
    region.apply()
    yield {(state, event): after for state, event, after in
           region.rows("SELECT state, event, next FROM ringfence.request_step")}
    server.cluster.stop()


def test_in_no_order_is_anybody_seen_without_approvals_or_after_an_end(steps):
    model = Model({k: v for k, v in steps.items() if k[1] != "break"})
    reached, count = model.explore()
    assert model.despite == {"unrecorded", "suspended"}, "a denial that is none is in the way for ever"
    assert reached == {"asked", "waiting", "approved", "open"} | ENDED, "the model comes to every state"
    assert count > 3000, count


@pytest.mark.parametrize("fault", ["rows are not locked", "approvals count unrecorded", "a step too many",
                                   "the grant is not closed", "denials are not looked at"])
def test_a_fault_in_the_model_is_found(steps, fault):
    with pytest.raises(Violation):
        Model({k: v for k, v in steps.items() if k[1] != "break"}, [fault]).explore()


def test_a_denial_that_stands_in_the_way_for_ever_is_found(steps):
    model = Model({k: v for k, v in steps.items() if k[1] != "break"},
                  ["denials count unrecorded", "the suspended are heard"])
    model.explore()
    assert model.despite == set()


def test_broken_glass_is_reviewed_before_the_next_however_two_gateways_hurry(steps):
    model = Glass(steps)
    reached, count = model.explore()
    assert reached == {"asked", "approved", "open"} | ENDED - {"denied"}, "the model comes to every state"
    assert model.opened > 100 and count > 1000, (model.opened, count)


@pytest.mark.parametrize("fault", ["the counter is not locked", "ended ones are not counted",
                                   "the leaf comes later"])
def test_a_fault_in_the_model_of_glass_is_found(steps, fault):
    with pytest.raises(Violation):
        Glass(steps, [fault]).explore()


def test_a_grant_that_is_used_up_makes_no_request_that_ended_otherwise(steps):
    """The sweep tells it where control has not; with neither it is found out."""
    steps = {k: v for k, v in steps.items() if k[1] != "break"}
    with pytest.raises(Violation, match="was used up"):
        Model(steps, ["the end is not told", "a sweep looks at the clock alone"]).explore()

"""Many open grants in a region's database: put in by the functions that the registrar calls, with texts
that were really signed, so that control verifies each as any other."""

import itertools
import re

ANALYST, OFFICERS = "us_analyst", ("us_privacy_officer", "us_security_officer")
SUBJECTS = [n for n in range(1, 200) if n % 20 != 7]  # not the children of sample.sql
BATCH = 500  # put in at once: signed texts expire

# What the registrar does for one grant, in its order.
OPEN_ONE = """
CREATE FUNCTION pg_temp.open_one(subject text, classes text[], command text, signature text, nonce text,
 votes text[], vote_signatures text[], vote_nonces text[], officers text[], leaf text)
 RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE it record; until timestamptz := now() + interval '5 min';
BEGIN
 PERFORM ringfence.command_use(nonce, until);
 SELECT * INTO it FROM ringfence.request_add('us_analyst', 'support', 'support_ticket',
  classes, ARRAY[subject], 28800, false, true, command, signature,
  'us-virginia', 1);
 PERFORM ringfence.request_move(it.id, 'logged', leaf);
 FOR i IN 1..2 LOOP
  PERFORM ringfence.command_use(vote_nonces[i], until);
  PERFORM ringfence.approval_add(it.id, officers[i], true, true, replace(votes[i], '{request}',
   it.id::text), vote_signatures[i], 'us-virginia');
  PERFORM ringfence.approval_logged(it.id, officers[i], leaf);
 END LOOP;
 PERFORM ringfence.request_move(it.id, 'complete', NULL);
 PERFORM ringfence.request_open(it.id, leaf);
 RETURN it.id;
END $$"""


def signed(people, subject, classes, number, leaf):
    """The arguments of open_one() for the grant that gets NUMBER."""
    asked = people.text(ANALYST, "request", subject=[str(subject)], class_=classes,
                        purpose="support_ticket", reference="T-1", seconds=28_800)
    votes = [people.vote_text(name, number, asked) for name in OFFICERS]

    def nonce(text):
        return re.search(r"^nonce (\w+)$", text, re.M).group(1)
    return (str(subject), classes, asked, people.sign(asked, ANALYST), nonce(asked), votes,
            [people.sign(vote, name) for vote, name in zip(votes, OFFICERS)],
            [nonce(vote) for vote in votes], list(OFFICERS), leaf)


def open_many(pair, people, origin, count, classes=("identity", "contact")):
    """COUNT more of ORIGIN's log; the number of the last one."""
    subjects = itertools.cycle(SUBJECTS)
    with pair.primary.connect() as connection:
        connection.execute(OPEN_ONE)
        number = connection.execute("SELECT coalesce(max(id), 0) FROM ringfence.request").fetchone()[0]
        while count > 0:
            some = min(count, BATCH)
            with connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(
                    "SELECT pg_temp.open_one(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                    [signed(people, next(subjects), list(classes), number + n + 1, f"1 {origin}")
                     for n in range(some)])
            number += some
            count -= some
        for table in ("pg_authid", "pg_auth_members", "ringfence.request", "ringfence.approval",
                      'ringfence."grant"', "ringfence.grant_subject"):
            connection.execute(f"VACUUM ANALYZE {table}")
    pair.wait_for_standby()
    return number

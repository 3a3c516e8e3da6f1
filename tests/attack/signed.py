"""The same world, in which nobody opens grants but by signatures: an analyst asks for one subject, two
officers approve, and every session of an attacker enters that grant at the gateway.

What is asked of it (`./dev attack --signed`): no clear value of anybody else; each difference that a
value of the named subject makes is on record; and for look-ups by a key, the list of who looked at
somebody is what was done, no more and no less."""

import json
import os
import random
import time

import yaml

import oracle
from commands import Signers
from gateway import ROOT
from ports import free_port
from public_log import PublicLog
from waiting import wait_until
from world import GRANTED_CLASSES, NAMED, PERSON, STRANGER, World

ANALYST, OFFICERS = PERSON["masked"], ("us_privacy_officer", "us_security_officer")
EPOCH_S = 60

# column, of which table and by which key it is looked up: its class
LOOKED_AT = {("handle", "users", "id"): "identity", ("email", "users", "id"): "contact",
             ("phone", "users", "id"): "contact", ("lat", "locations", "user_id"): "location"}


def signed_grants():
    with open(os.path.join(ROOT, "demo", "policy.yaml"), encoding="utf-8") as text:
        grants = yaml.safe_load(text)["grants"]
    grants["rules"].pop("support-dublin")  # nobody of Dublin has a key here
    grants["rules"]["support"].update(classes=GRANTED_CLASSES, subjects=1, duration="24h")
    return grants


class SignedWorld(World):
    """Its gateway runs when it is made: only a running one opens grants."""

    def __init__(self, folder, authority, build, sandbox, slow=1):
        self.people = Signers([ANALYST, *OFFICERS])
        self.people.port = free_port()
        self.authority = authority
        super().__init__(folder, authority, build, sandbox, slow)

    def settings(self):
        hub = {"listen": [{"address": "127.0.0.1", "port": self.people.port, "tls": "required"}],
               "tls": {"certificate": "hub.crt", "key": "hub.key"}}
        return {**super().settings(), "hub": hub}

    def change_policy(self, policy):
        super().change_policy(policy)
        policy["grants"] = signed_grants()
        for name in self.people.keys:
            policy["actors"][name]["keys"] = [self.people.public(name)]

    def start(self):
        pass

    def open_first(self):
        certificate, key = self.authority.issue("hub", addresses=["127.0.0.1"], names=["localhost"])
        self.gateway.copy(certificate, "hub.crt", 0o644)
        self.gateway.copy(key, "hub.key", 0o600)
        self.log = PublicLog(self.gateway, witness=False)
        self.people.ca = self.gateway.ca
        self.gateway.start()
        number = self.open_signed(self.planted.keys[NAMED], GRANTED_CLASSES)
        return number, self.pair.primary.value('SELECT role FROM ringfence."grant" WHERE id = %s', number)

    def open_signed(self, subject, classes):
        """The number of a grant that the analyst asks for and both officers approve."""
        asked = self.people.ask(ANALYST, [subject], classes, seconds=24 * 3600)
        assert asked.status == 200, asked
        number = asked.json["request"]
        for officer in OFFICERS:
            voted = self.people.vote(officer, number)
            assert voted.status == 200, voted
        assert voted.json["state"] == "open", voted
        return number


# --- what a value changes is on record ------------------------------------------------------------


def over_record(world, count, seed, changes=None):
    """An Oracle that has run COUNT generated statements, and those that tell, at the gateway for each
    of CHANGES. Of the stranger, and of classes that the grant does not have, no answer may depend on
    anything."""
    target = oracle.Target(world, "granted", "gateway")
    run = oracle.Marked(world, target, oracle.telling() + oracle.statements(target, count, seed))
    some = random.Random(seed)
    named, stranger = (world.planted.keys[name] for name in (NAMED, STRANGER))
    clear = [change for change in oracle.clear_changes(named) if change.class_name in GRANTED_CLASSES]
    hidden = [change for change in oracle.hidden_changes(named) if change.class_name not in GRANTED_CLASSES]
    run.run(changes or clear + some.sample(hidden, 2) + some.sample(oracle.clear_changes(stranger), 3))
    return run


# --- who looked -----------------------------------------------------------------------------------


class LookUps:
    """COUNT look-ups by a key under grants of one subject each.

    `shown` is whom they showed, `asked` what they asked of the subject whom the grant names: both are
    {key: {(grant, class)}}. Under most grants nobody else's key is looked for, and there the two are
    the same, so that the list must be exactly that. Where another's key is looked for, the answer is
    empty because the named subject is another one: that he was compared may be told, and of the one
    who was looked for nothing."""

    def __init__(self, world, count, seed, subjects=6):
        self.world, self.random = world, random.Random(f"look-ups {seed}")
        # of the crowd, who is no child and has all that is looked up
        found = [key for (key,) in world.pair.primary.rows(
            "SELECT id FROM app.users u WHERE id < 80 AND birthdate < now() - interval '20 years' AND phone"
            " IS NOT NULL AND EXISTS (SELECT FROM app.locations l WHERE l.user_id = u.id) ORDER BY id")]
        *self.keys, self.nobody = self.random.sample(found, subjects + 1)  # who is in no grant
        self.shown = {key: set() for key in (*self.keys, self.nobody)}
        self.asked = {key: set() for key in self.shown}
        self.done = self.found = self.exact = 0
        while self.done < count:
            self.look(self.random.choice(self.keys), min(10, count - self.done))
        self.epoch = f"1m-{int(time.time() // EPOCH_S)}"  # the last one in which anybody looked

    def look(self, subject, count):
        world, some = self.world, self.random
        classes = ["identity"] + [c for c in GRANTED_CLASSES[1:] if some.random() < 0.6]
        others = [*self.keys, self.nobody] if some.random() < 0.3 else [subject]
        self.exact += others == [subject]
        number = world.open_signed(subject, classes)
        with world.gateway.connect(ANALYST, options=f"-cringfence.grant={number}") as session:
            for _ in range(count):
                column, table, key = what = some.choice(list(LOOKED_AT))
                wanted = some.choice([subject, *others])
                rows = session.execute(f"SELECT {column} FROM {table} WHERE {key} = {wanted}").fetchall()
                assert bool(rows) == (wanted == subject), (column, wanted, subject)
                self.done += 1
                self.found += bool(rows)
                # the key itself is of class identity
                told = {(number, c) for c in ("identity", LOOKED_AT[what]) if c in classes}
                self.asked[subject] |= told
                if rows:
                    self.shown[subject] |= told
        world.people.do(ANALYST, "revoke", request=number)

    def told(self, key):
        """{(grant, class)} of the claim file that is made for KEY."""
        gateway, out = self.world.gateway, self.world.gateway.path(f"claim-{key}")
        done = gateway.command("who-looked", "--json", "--region", "us-virginia", "--subject", str(key),
                               "--out", out, "--remember", gateway.path("remembered"))
        assert done.returncode == 0, done.stdout + done.stderr
        done = gateway.command("log", "verify-claim", out, "--key", self.world.log.vkey, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        leaves = self.world.log.leaves()
        return {(leaves[access["leaf"]]["grant"], one) for access in json.loads(done.stdout)["accesses"]
                for one in access["classes"].split(",")}

    def compare(self):
        """{key: (told and not asked, shown and not told)} where the lists are not what was done."""
        self.world.log.wait_for("the epoch's seal", timeout=3 * EPOCH_S, type="seal", epoch=self.epoch)
        found = {}
        for key, shown in self.shown.items():
            told = self.told(key)
            if not shown <= told <= self.asked[key]:
                found[key] = (sorted(told - self.asked[key]), sorted(shown - told))
        return found

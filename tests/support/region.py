"""A region as the tests use it: primary and standby with the sample data, and what
`ringfence apply` makes of the policy in it."""

import os
import subprocess

from applied import install_extension
from gateway import EXTRA_ACTORS, ROOT, Gateway, password_of
from postgres import Pair

HERE = os.path.dirname(os.path.abspath(__file__))


def make_region(folder, authority, build, sandbox, slow=1, policy=None):
    """A Pair, filled and with the policy applied, as POLICY (a function) changes it."""
    os.makedirs(folder, mode=0o755)
    pair = Pair(folder, authority)
    pair.primary.rows("CREATE DATABASE app", dbname="postgres")
    demo = os.path.join(ROOT, "demo")
    for path in (f"{demo}/schema.sql", f"{HERE}/sample.sql", f"{demo}/index.sql"):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", path,
                               pair.primary.dsn()], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout)
    applied = Gateway(os.path.join(folder, "apply"), pair, authority, build, sandbox, slow,
                      policy=policy)
    apply_policy(applied)
    return pair


def apply_policy(gateway):
    """The real `ringfence apply`, and the entries that let the gateway in as the new roles."""
    pair = gateway.pair
    if os.environ.get("RF_EXTENSION") == "1":  # every region with extension ringfence, on its standby too
        if not install_extension(gateway.build):
            raise AssertionError("RF_EXTENSION=1: the extension is not built, or cannot be installed")
        pair.primary.rows("CREATE EXTENSION IF NOT EXISTS ringfence")
    done = gateway.command("apply", "--dsn", pair.primary.dsn())
    if done.returncode != 0:
        raise AssertionError(f"apply: {done.returncode}: {done.stdout}{done.stderr}")
    for actor in EXTRA_ACTORS:
        if actor.startswith("by_"):
            how = "md5" if actor == "by_md5" else "scram-sha-256"
            with pair.primary.connect() as connection:
                connection.execute(f"SET password_encryption = '{how}'")
                connection.execute(f"ALTER ROLE {actor} LOGIN PASSWORD '{password_of(actor)}'")
    roles = pair.primary.rows("SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper")
    pair.let_gateway_enter([role for (role,) in roles])
    pair.wait_for_standby()
    return done



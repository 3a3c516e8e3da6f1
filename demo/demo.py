#!/usr/bin/env python3
"""The whole system on one machine, with sample data: two regions, each with a PostgreSQL primary, a
hot standby and a gateway, and a little traffic.

usage: demo.py [--detach|--stop|--status] [--dir DIR] [--build DIR] [--port N] [--hub-port N]
               [--hub-tls-port N]

Without an option it stays in the foreground and stops everything on Ctrl-C. --detach returns when
psql through both gateways answers. DIR (.demo) gets DIR/env, a file of KEY=value for shells and
tests. Started by root, everything runs as user postgres; where that user cannot reach DIR, or the
sockets' path would be too long, another folder is used and named in DIR/env."""
import argparse
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import cluster  # noqa: E402
import keys  # noqa: E402
from processes import Processes  # noqa: E402

USER = "postgres"
SOCKET_PATH_MAX = 107
OWN_FILES = ["demo.py", "cluster.py", "keys.py", "processes.py", "load.py", "load.sql",
             "schema.sql", "data.sql", "index.sql", "policy.yaml"]
PROGRAMS = ["ringfence", "ringfenced", "ringfence-witness"]
SIGNERS = ["us_privacy_officer", "us_security_officer"]  # of the policy
REGIONS = {
    "us-virginia": {
        "short": "us", "place": "US", "service": "app_us", "database_port": 5441,
        "data": {"users": 35000, "first": 1, "homes": "{US}", "south": 25, "north": 48,
                 "west": -124, "east": -67},
    },
    "eu-dublin": {
        "short": "eu", "place": "IE", "service": "app_eu", "database_port": 5451,
        "data": {"users": 15000, "first": 1000001, "homes": "{DE,FR,IE,ES,IT,NL,PL,SE,AT,PT}",
                 "south": 36, "north": 65, "west": -9, "east": 28},
    },
}


def fail(text):
    raise SystemExit(f"demo: {text}")


# -- where, and as whom ------------------------------------------------------------------------

def can_reach(user, path):
    """May USER enter every folder on the way to PATH?"""
    entry = pwd.getpwnam(user)
    while True:
        if os.path.isdir(path):
            st = os.stat(path)
            bit = 0o100 if st.st_uid == entry.pw_uid else 0o010 if st.st_gid == entry.pw_gid else 1
            if not st.st_mode & bit:
                return False
        if path == "/":
            return True
        path = os.path.dirname(path)


def elsewhere(directory):
    tag = hashlib.sha256(directory.encode()).hexdigest()[:12]
    return f"/var/tmp/ringfence-demo-{tag}"


def sockets_of(base):
    """The folder of the unix sockets; below /tmp when the path would not fit into an address."""
    folder = f"{base}/run"
    if len(f"{folder}/.s.PGSQL.65535.lock") <= SOCKET_PATH_MAX:
        return folder
    tag = hashlib.sha256(base.encode()).hexdigest()[:12]
    print(f"demo: {folder} is too long a path for sockets: they are in /tmp/ringfence-demo-{tag}")
    return f"/tmp/ringfence-demo-{tag}"


def copy_programs(build, target):
    os.makedirs(target, exist_ok=True)
    for name in PROGRAMS:
        source = os.path.join(build, "src", "cmd", name)
        if not os.path.exists(source):
            fail(f"{source} is not built: run ./dev build")
        shutil.copy2(source, f"{target}/{name}.new")
        os.replace(f"{target}/{name}.new", f"{target}/{name}")  # a running one keeps its own
    for name in OWN_FILES:
        shutil.copy2(f"{HERE}/{name}", f"{target}/{name}")


def become_user(options, arguments):
    """As root: give the folder to USER and go on as that user. The copy of the programs makes this
    work from a checkout that only root can read."""
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        fail(f"there is no user {USER}: install PostgreSQL's server first")
    os.makedirs(options.dir, exist_ok=True)
    base = options.dir
    if not can_reach(USER, base):
        base = elsewhere(options.dir)
        print(f"demo: user {USER} cannot reach {options.dir}: everything is in {base}")
        if not os.path.isdir(base):
            os.mkdir(base, 0o755)  # fails when somebody else's link is there
        link = f"{options.dir}/env"
        if not os.path.islink(link):
            if os.path.exists(link):
                os.remove(link)
            os.symlink(f"{base}/env", link)
    if os.stat(base).st_uid not in (0, entry.pw_uid):
        fail(f"{base} belongs to somebody else")
    os.chown(base, entry.pw_uid, entry.pw_gid)
    target = f"{base}/bin"
    if not (options.stop or options.status):
        copy_programs(options.build, target)
    elif not os.path.exists(f"{target}/demo.py"):
        print("demo: nothing was started here")
        raise SystemExit(0 if options.stop else 1)
    command = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups",
               sys.executable if can_reach(USER, sys.executable) else "/usr/bin/python3",
               f"{target}/demo.py", "--inner", "--dir", base, "--shown-dir", options.dir,
               *arguments]
    os.environ["HOME"] = base
    os.execvp(command[0], command)


# -- the parts ----------------------------------------------------------------------------------

class Demo:
    def __init__(self, options):
        self.base = options.dir
        self.shown = options.shown_dir or options.dir
        self.bin = f"{self.base}/bin"
        self.port = options.port
        self.hub_port = options.hub_port
        self.hub_tls_ports = {region: options.hub_tls_port + i for i, region in enumerate(REGIONS)}
        self.sockets = sockets_of(self.base)
        self.processes = Processes(f"{self.base}/processes.json")
        self.settings_path = f"{self.base}/settings.json"
        self.settings = self._read_settings()
        self.clusters = {
            name: cluster.Cluster(self.base, name, self.sockets, *self.settings["ports"][name],
                                  self.processes)
            for name in REGIONS if "ports" in self.settings}

    def _read_settings(self):
        try:
            with open(self.settings_path, encoding="utf-8") as f:
                return json.load(f)
        except (OSError, ValueError):
            return {}

    def _save_settings(self):
        with open(os.open(self.settings_path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                  "w", encoding="utf-8") as f:
            json.dump(self.settings, f, indent=1)
        os.replace(self.settings_path + ".new", self.settings_path)

    # what the data were made from: other files, other data
    def _made_from(self):
        digest = hashlib.sha256()
        for name in ("schema.sql", "data.sql", "index.sql", "policy.yaml", "cluster.py", "keys.py"):
            with open(f"{self.bin}/{name}", "rb") as f:
                digest.update(f.read())
        return digest.hexdigest()

    def gateway_port(self, region):
        return self.port + list(REGIONS).index(region)

    def parts(self):
        names = []
        for region in REGIONS:
            names += [f"{region} primary", f"{region} standby", f"{region} gateway"]
        return names + ["witness", "load"]

    def is_running(self):
        return all(self.processes.pid(name) is not None for name in self.parts())

    # -- making it

    def prepare(self):
        """An empty folder with keys, settings and files; the data come later."""
        for name in list(REGIONS) + ["keys", "ssh", "log", "bin"]:
            path = f"{self.base}/{name}"
            if name in REGIONS or name in ("keys", "ssh"):
                shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path, mode=0o755 if name == "keys" else 0o700, exist_ok=True)
        self.make_sockets_folder()
        os.chmod(f"{self.base}/keys", 0o755)
        self.settings = {"policy": f"{self.base}/policy.yaml", "tag": secrets.token_hex(4)}
        shutil.copyfile(f"{self.bin}/policy.yaml", self.settings["policy"])
        self.choose_ports()
        keys.make_certificates(f"{self.base}/keys")
        actors = keys.actors_of(self.settings["policy"])
        keys.make_ssh_keys(f"{self.base}/ssh", actors)
        keys.write_keys(self.settings["policy"], f"{self.base}/ssh")
        keys.add_signers(self.settings["policy"], SIGNERS)
        keys.sign_policy(self.settings["policy"], f"{self.base}/ssh", SIGNERS)
        self.settings["passwords"] = keys.make_credentials(f"{self.base}/credentials", actors)
        for region in REGIONS:
            self.write_configuration(region)
            self.make_log_keys(region)
        self.make_witness()
        self._save_settings()

    def origin_of(self, region):
        """An origin is for ever: a demonstration that is made anew has logs of other names."""
        return f"demo-{self.settings['tag']}.example/{region}"

    def make_log_keys(self, region):
        own = f"{self.base}/{region}"
        vkey = self.command("key", "new", "log", "--origin", self.origin_of(region), "--out",
                            f"{own}/log.key")
        with open(f"{own}/log.vkey", "w", encoding="ascii") as f:
            f.write(vkey)
        self.command("key", "new", "vrf", "--region", region, "--out", f"{own}/vrf.key")

    def make_witness(self):
        """One, run by ourselves: enough to try it, and every verifier says that it proves little."""
        folder = f"{self.base}/witness"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(f"{folder}/state", mode=0o700)
        self.settings["witness_vkey"] = self.run("ringfence-witness", "--key", f"{folder}/key",
                                                 "--new-key",
                                                 f"witness.demo-{self.settings['tag']}.example/w1").strip()

    def write_witnesses(self):
        """C2SP tlog-policy, for the gateways and for whoever verifies."""
        for region in REGIONS:
            with open(f"{self.base}/{region}/log.vkey", encoding="ascii") as f:
                log = f.read().strip()
            with open(f"{self.base}/{region}/witnesses.policy", "w", encoding="ascii") as f:
                f.write(f"log {log}\n"
                        f"witness demo {self.settings['witness_vkey']}"
                        f" http://127.0.0.1:{self.settings['witness_port']}\n"
                        "quorum demo\n")

    def start_witness(self):
        if self.processes.pid("witness") is None:
            logs = [part for region in REGIONS for part in ("--log", f"{self.base}/{region}/log.vkey")]
            self.processes.start("witness", [
                f"{self.bin}/ringfence-witness", "--key", f"{self.base}/witness/key", "--state",
                f"{self.base}/witness/state", "--listen",
                f"127.0.0.1:{self.settings['witness_port']}", *logs], f"{self.base}/log/witness.log")

    def choose_ports(self):
        """The usual ones, or others where a program that is not ours has taken them."""
        taken = set()
        self.settings.setdefault("ports", {})
        if self.processes.pid("witness") is None:
            self.settings["witness_port"] = free_port(7441, taken)
        for region, facts in REGIONS.items():
            old = self.clusters.get(region)
            if old is not None and any(self.processes.pid(old.name(r)) for r in old.ports):
                continue
            ports = [free_port(facts["database_port"] + i, taken) for i in range(2)]
            self.settings["ports"][region] = ports
            self.clusters[region] = cluster.Cluster(self.base, region, self.sockets, *ports,
                                                    self.processes)

    def make_sockets_folder(self):
        """Empty after a restart of the machine when it is below /tmp; ours alone in any case."""
        try:
            os.mkdir(self.sockets, 0o700)
        except FileExistsError:
            st = os.lstat(self.sockets)
            if st.st_uid != os.getuid() or not os.path.isdir(self.sockets):
                fail(f"{self.sockets} belongs to somebody else")
        os.chmod(self.sockets, 0o700)

    def write_configuration(self, region):
        facts, own = REGIONS[region], f"{self.base}/{region}"
        primary, standby = self.settings["ports"][region]
        listens = "\n".join(f"  - {{address: {a}, port: {self.gateway_port(region)}, tls: required}}"
                            for a in ("127.0.0.1", "127.0.1.1", "127.0.8.1"))
        for folder in ("state", "gateway-run"):
            os.makedirs(f"{own}/{folder}", mode=0o700, exist_ok=True)
        k = f"{self.base}/keys"
        with open(f"{own}/ringfence.yaml", "w", encoding="utf-8") as f:
            f.write(f"""# The gateway of {region} in the demonstration; see ringfence.conf(5).
name: {region}
place: {facts["place"]}
policy: {self.settings["policy"]}
credentials: {self.base}/credentials
state: {own}/state
run: {own}/gateway-run
tls: {{certificate: {k}/gateway.crt, key: {k}/gateway.key, client_ca: {k}/ca.crt}}
listen:
{listens}
databases:
  {region}:
    region: {region}
    database: app
    primary: ["127.0.0.1:{primary}"]
    standby: ["127.0.0.1:{standby}"]
    tls: verify-full
    tls_ca: {k}/database-ca.crt
    tls_certificate: {k}/gateway-client.crt
    tls_key: {k}/gateway-client.key
    pool: {{mode: session, size: 20, idle: 10min, lifetime: 1h}}
ledger:
  origin: {self.origin_of(region)}
  directory: {own}/log
  key: {own}/log.key
  vrf_key: {own}/vrf.key
  witnesses: {own}/witnesses.policy
  epoch: 1m
  rollup: 1min
  seal: 1min
  checkpoint: 100ms
hooks:
  - events: [request, denied, opened, ended, broken_glass, suspended, notice]
    command: [/bin/sh, -c, 'cat >> "$1" && echo >> "$1"', tell, {self.base}/outbox.log]
sandbox: {sandbox_floor()}
""")
            f.write(self.hub_section(region))

    # the hubs: the first gateway's has the public files of both regions, and each takes the commands
    # for its own

    def public_folder(self, region):
        return f"{self.base}/{region}/log"

    def hub_section(self, region):
        first = next(iter(REGIONS))
        shown = REGIONS if region == first else [region]
        logs = "\n".join(f"    {r}: {self.public_folder(r)}" for r in shown)
        clear = f"    - {{address: 127.0.0.1, port: {self.hub_port}, tls: off}}\n" if region == first else ""
        others = "\n".join(f"    {r}: {self.hub_tls_url(r)}" for r in REGIONS if r != region)
        return f"""hub:
  listen:
{clear}    - {{address: 127.0.0.1, port: {self.hub_tls_ports[region]}, tls: required}}
  tls: {{certificate: {self.base}/keys/hub.crt, key: {self.base}/keys/hub.key}}
  url: {self.hub_tls_url(region)}
  ca: {self.base}/keys/ca.crt
  logs:
{logs}
  others:
{others}
"""

    def hub_url(self):
        return f"http://127.0.0.1:{self.hub_port}"

    def hub_tls_url(self, region):
        return f"https://127.0.0.1:{self.hub_tls_ports[region]}"

    def wait_hub(self, end):
        """All logs are well."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with direct.open(f"{self.hub_url()}/healthz", timeout=5):
                    return
            except urllib.error.HTTPError as e:
                said = e.read().decode(errors="replace").strip()
            except OSError as e:
                said = str(e)
            if time.monotonic() > end:
                fail(f"the hub is not well: {said}")
            time.sleep(0.1)

    def make_region(self, region):
        c = self.clusters[region]
        c.create()
        c.load(self.bin, REGIONS[region]["data"])
        self.apply(region)
        c.serve()

    def apply(self, region):
        self.command("-c", f"{self.base}/{region}/ringfence.yaml", "apply", "--dsn",
                     self.clusters[region].dsn())

    def command(self, *arguments):
        return self.run("ringfence", *arguments)

    def run(self, program, *arguments):
        done = subprocess.run([f"{self.bin}/{program}", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            fail(f"{program} {' '.join(arguments)}: {done.stdout.decode(errors='replace')}")
        return done.stdout.decode(errors="replace")

    def in_parallel(self, act):
        """ACT(region) for all regions at once; the first failure ends the demo."""
        failures = []

        def guarded(region):
            try:
                act(region)
            except SystemExit as e:
                failures.append(str(e))
            except Exception as e:  # a thread's own traceback would be lost
                failures.append(f"demo: {region}: {type(e).__name__}: {e}")

        threads = [threading.Thread(target=guarded, args=(r,)) for r in REGIONS]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if failures:
            raise SystemExit(failures[0])

    def start(self):
        for region in REGIONS:
            if self.processes.pid(f"{region} gateway") is None:
                check_port_free(self.gateway_port(region))
                check_port_free(self.hub_tls_ports[region], "--hub-tls-port")
        if self.processes.pid(f"{next(iter(REGIONS))} gateway") is None:
            check_port_free(self.hub_port, "--hub-port")
        if self.settings.get("complete") == self._made_from():
            self.make_sockets_folder()
            self.choose_ports()
            self._save_settings()
            for region in REGIONS:
                self.write_configuration(region)
            self.in_parallel(self.restart_region)
        else:
            self.stop()
            self.prepare()
            self.in_parallel(self.make_region)
            self.settings["complete"] = self._made_from()
            self._save_settings()
        self.write_witnesses()
        self.write_env()
        self.start_witness()
        for region in REGIONS:
            self.start_gateway(region)
        self.start_load()
        self.wait_ready()

    def restart_region(self, region):
        c = self.clusters[region]
        for role in ("primary", "standby"):
            if self.processes.pid(c.name(role)) is None:
                c.start(role)
        self.apply(region)

    def start_gateway(self, region):
        if self.processes.pid(f"{region} gateway") is None:
            self.processes.start(f"{region} gateway",
                                 [f"{self.bin}/ringfenced", "-c",
                                  f"{self.base}/{region}/ringfence.yaml"],
                                 f"{self.base}/log/{region}-gateway.log")

    def start_load(self):
        if self.processes.pid("load") is not None:
            return
        path = f"{self.base}/load.json"
        services = [{"dsn": self.client_dsn(region, facts["service"]),
                     "password": self.settings["passwords"][facts["service"]],
                     "first": facts["data"]["first"], "users": facts["data"]["users"]}
                    for region, facts in REGIONS.items()]
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                  encoding="utf-8") as f:
            json.dump({"programs": cluster.find_programs(), "services": services}, f)
        self.processes.start("load", [sys.executable, f"{self.bin}/load.py", path],
                             f"{self.base}/log/load.log")

    def client_dsn(self, region, user):
        return (f"host=127.0.0.1 port={self.gateway_port(region)} dbname={region} user={user} "
                f"sslmode=verify-full sslrootcert={self.base}/keys/ca.crt connect_timeout=5")

    def wait_ready(self):
        """A service and a person through each gateway: the latter waits for control's first look."""
        end = time.monotonic() + 60
        person = {"us-virginia": "us_analyst", "eu-dublin": "eu_analyst"}
        for region, facts in REGIONS.items():
            for user in (facts["service"], person[region]):
                self.wait_answer(region, user, end)
        self.wait_hub(end)

    def wait_answer(self, region, user, end):
        psql = f"{cluster.find_programs()}/psql"
        env = dict(os.environ, PGPASSWORD=self.settings["passwords"][user])
        while True:
            done = subprocess.run([psql, "-X", "-At", "-c", "SELECT 1", self.client_dsn(region, user)],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=env, check=False)
            text = done.stdout.decode(errors="replace").strip()
            if done.returncode == 0 and text == "1":
                return
            log = f"{self.shown_path('log')}/{region}-gateway.log"
            if self.processes.pid(f"{region} gateway") is None:
                fail(f"the gateway of {region} ended; see {log}")
            if time.monotonic() > end:
                fail(f"{user} gets no answer from {region}: {text}\ndemo: see {log}")
            time.sleep(0.1)

    def shown_path(self, name):
        return f"{self.base}/{name}"

    def write_env(self):
        us, eu = self.clusters["us-virginia"], self.clusters["eu-dublin"]
        values = {
            "RF_CONFIG": f"{self.base}/us-virginia/ringfence.yaml",
            "RF_EU_CONFIG": f"{self.base}/eu-dublin/ringfence.yaml",
            "RF_POLICY": self.settings["policy"],
            "RF_GATEWAY_HOST": "127.0.0.1",
            "RF_GATEWAY_PORT": self.gateway_port("us-virginia"),
            "RF_EU_GATEWAY_PORT": self.gateway_port("eu-dublin"),
            "RF_CA": f"{self.base}/keys/ca.crt",
            "RF_LOG_DIR": f"{self.base}/us-virginia/log",
            "RF_LOG_VKEY": f"{self.base}/us-virginia/log.vkey",
            "RF_WITNESSES": f"{self.base}/us-virginia/witnesses.policy",
            "RF_EU_WITNESSES": f"{self.base}/eu-dublin/witnesses.policy",
            "RF_EU_LOG_DIR": f"{self.base}/eu-dublin/log",
            "RF_EU_LOG_VKEY": f"{self.base}/eu-dublin/log.vkey",
            "RF_REGION": "us-virginia",
            "RF_HUB": self.hub_url(),
            "RF_HUB_TLS": self.hub_tls_url("us-virginia"),
            "RF_US_DSN": us.dsn("primary"),
            "RF_US_STANDBY_DSN": us.dsn("standby"),
            "RF_EU_DSN": eu.dsn("primary"),
            "RF_EU_STANDBY_DSN": eu.dsn("standby"),
            "RF_BIN": self.bin,
        }
        for name, password in self.settings["passwords"].items():
            values[f"RF_PASSWORD_{name.upper()}"] = password
            values[f"RF_SSHKEY_{name.upper()}"] = f"{self.base}/ssh/{name}"
        path = f"{self.base}/env"
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
                  encoding="utf-8") as f:
            for key, value in values.items():
                f.write(f"{key}={shlex.quote(str(value))}\n")
        os.replace(path + ".new", path)

    # -- ending it

    def stop(self):
        self.processes.stop("load")
        for region in REGIONS:
            self.processes.stop(f"{region} gateway")
        self.processes.stop("witness")
        if self.clusters:
            self.in_parallel(lambda region: self.clusters[region].stop_all())

    def status(self):
        for name in self.parts():
            pid = self.processes.pid(name)
            print(f"{name:22} {'running, process ' + str(pid) if pid else 'not running'}")
        return 0 if self.is_running() else 1

    def tour(self):
        psql = 'psql "host=$RF_GATEWAY_HOST port=$RF_GATEWAY_PORT dbname=us-virginia'
        tls = 'sslmode=verify-full sslrootcert=$RF_CA"'
        china = psql.replace("$RF_GATEWAY_HOST", "127.0.8.1")
        dublin = psql.replace("$RF_GATEWAY_PORT", "$RF_EU_GATEWAY_PORT").replace(
            "us-virginia", "eu-dublin")
        print(f"""
Two regions are up: us-virginia on port {self.gateway_port("us-virginia")}, eu-dublin on port \
{self.gateway_port("eu-dublin")}, each with a primary, a hot standby and a gateway.
First:  . {self.shown}/env

An analyst at home sees everyone as nobody: pseudonyms that join, no names, no children.
  PGPASSWORD=$RF_PASSWORD_US_ANALYST {psql} user=us_analyst {tls} \\
    -c 'SELECT u.handle, u.birthdate, count(*) FROM users u JOIN watch_events w ON w.user_id = u.id
        GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 5'

The tables behind are not there for her: expect "permission denied".
  PGPASSWORD=$RF_PASSWORD_US_ANALYST {psql} user=us_analyst {tls} \\
    -c 'SELECT email FROM app.users'

An engineer abroad gets numbers only: the first answers, the second does not exist for him.
  PGPASSWORD=$RF_PASSWORD_CN_ENGINEER {psql} user=cn_engineer {tls} \\
    -c 'SELECT * FROM users_by_month ORDER BY month DESC LIMIT 5'
  PGPASSWORD=$RF_PASSWORD_CN_ENGINEER {psql} user=cn_engineer {tls} \\
    -c 'SELECT * FROM users'

The same analyst from the office in China (another listener) is abroad: numbers only.
  PGPASSWORD=$RF_PASSWORD_US_ANALYST {china} user=us_analyst {tls} \\
    -c 'SELECT * FROM users LIMIT 5'

The application reads and writes clear rows in its region, and nowhere else.
  PGPASSWORD=$RF_PASSWORD_APP_US {psql} user=app_us {tls} \\
    -c 'SELECT id, handle, email FROM users LIMIT 5'
  PGPASSWORD=$RF_PASSWORD_APP_US {dublin} user=app_us {tls} \\
    -c 'SELECT 1'

The database itself refuses a foreign resident in Virginia.
  PGPASSWORD=$RF_PASSWORD_APP_US {psql} user=app_us {tls} \\
    -c "INSERT INTO users (handle, email, birthdate, residency) \
VALUES ('hans', 'hans@example.de', '1990-01-01', 'DE')"

A precise place does not come in: it is made a tenth of a degree before it is stored.
  PGPASSWORD=$RF_PASSWORD_APP_US {psql} user=app_us {tls} \\
    -c "INSERT INTO locations (user_id, lat, lon, ip, residency) \
SELECT max(id), 38.897663, -77.036574, '203.0.113.77', 'US' FROM users \
WHERE birthdate < '2000-01-01' RETURNING lat, lon, ip"

Somebody by name: the analyst names him, a purpose and an end, and signs; two officers at home, outside
her chain of command, see the same text and sign it, too (without --yes you are asked, as they are). Then
it is open, for her and for him alone. The first request has number 1.
  $RF_BIN/ringfence -c $RF_CONFIG request --region us-virginia --actor us_analyst \\
    --identity $RF_SSHKEY_US_ANALYST --subject 42 --class identity,contact \\
    --purpose support_ticket --reference T-4711 --for 10m
  $RF_BIN/ringfence -c $RF_CONFIG approve 1 --yes --region us-virginia --actor us_privacy_officer \\
    --identity $RF_SSHKEY_US_PRIVACY_OFFICER
  $RF_BIN/ringfence -c $RF_CONFIG approve 1 --yes --region us-virginia --actor us_security_officer \\
    --identity $RF_SSHKEY_US_SECURITY_OFFICER
  PGPASSWORD=$RF_PASSWORD_US_ANALYST {psql} user=us_analyst {tls} \\
    -c 'SET ringfence.grant = 1' -c 'SELECT * FROM users'

An audit manager abroad wants to know where two people are, and his chief would approve it: refused.
  $RF_BIN/ringfence -c $RF_CONFIG request --region us-virginia --actor cn_audit_manager \\
    --identity $RF_SSHKEY_CN_AUDIT_MANAGER --subject 42 --subject 43 --class location \\
    --purpose security_incident --reference leak --for 1h
  $RF_BIN/ringfence -c $RF_CONFIG approve 1 --yes --region us-virginia --actor cn_head_of_audit \\
    --identity $RF_SSHKEY_CN_HEAD_OF_AUDIT

The same man can write the policy file, makes himself one of its signers, and signs: refused, since his
signature counts in his own policy alone. The old one stays.
  $RF_BIN/ringfence -c $RF_CONFIG check && cp $RF_POLICY $RF_POLICY.kept
  sed -i 's/^  actors: .us_privacy_officer/&, cn_audit_manager/' $RF_POLICY
  echo follows: $(sha256sum < $RF_POLICY.kept | cut -c 1-64) >> $RF_POLICY
  ssh-keygen -q -Y sign -n ringfence-policy@1 -f $RF_SSHKEY_CN_AUDIT_MANAGER \\
    < $RF_POLICY > $RF_POLICY.sig
  kill -HUP $(cat {self.base}/us-virginia/gateway-run/ringfenced.pid) && sleep 2
  grep reload-refused {self.base}/log/us-virginia-gateway.log
  $RF_BIN/ringfence -c $RF_CONFIG check
  mv $RF_POLICY.kept $RF_POLICY

When the grant is over, the person who was looked at is told: here a file is the company's mailer.
  $RF_BIN/ringfence -c $RF_CONFIG revoke 1 --region us-virginia --actor us_analyst \\
    --identity $RF_SSHKEY_US_ANALYST && sleep 2
  grep '"notice"' {self.base}/outbox.log

What a database lacks to hold the policy (nothing):
  $RF_BIN/ringfence -c $RF_CONFIG plan --dsn $RF_US_DSN --check

Every statement above was on record before its answer left. What the public may know of it is in a
transparency log that a witness cosigns; whoever has the log's key can check all of it from outside.
  curl -s $RF_HUB/log/us-virginia/checkpoint
  $RF_BIN/ringfence log verify $RF_HUB/log/us-virginia --key $RF_LOG_VKEY --witnesses $RF_WITNESSES
  $RF_BIN/ringfence log show $RF_HUB/log/us-virginia

What the public may see of that is for everybody to read: {self.hub_url()}/
Logs are in {self.base}/log. Stop: ./dev demo --stop{"" if self.shown == ".demo" else " --dir " + self.shown}
""", flush=True)


# -- small questions to the machine ----------------------------------------------------------------

def free_port(wanted, taken):
    for port in range(wanted, wanted + 1000):
        if port in taken or not is_port_free(port):
            continue
        taken.add(port)
        return port
    return fail(f"no free port from {wanted} on")


def is_port_free(port):
    for address in ("127.0.0.1", "127.0.1.1", "127.0.8.1"):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, port))
            except OSError:
                return False
    return True


def check_port_free(port, option="--port"):
    if not is_port_free(port):
        fail(f"port {port} is in use by another program: stop it, or choose with {option}")


def sandbox_floor():
    """The most that this kernel can do; the gateway refuses to start below it."""
    try:
        with open("/sys/kernel/security/lsm", encoding="ascii") as f:
            return "full" if "landlock" in f.read() else "seccomp"
    except OSError:
        return "seccomp"


def hold_lock(base):
    lock = open(f"{base}/lock", "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        fail("another demo command is at work in this folder")
    return lock


def stay(demo):
    """Until Ctrl-C, SIGTERM, or one of the parts is gone."""
    ended = threading.Event()
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, lambda *_: ended.set())
    print("Ctrl-C stops everything.", flush=True)
    while not ended.wait(1):
        gone = [name for name in demo.parts() if demo.processes.pid(name) is None]
        if demo.processes.known and gone:
            print(f"demo: {gone[0]} ended; see {demo.base}/log")
            break
    demo.stop()


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.split("\n\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--detach", action="store_true", help="return when all answer")
    what.add_argument("--stop", action="store_true", help="stop everything that was started here")
    what.add_argument("--status", action="store_true", help="say what runs")
    root = os.path.dirname(HERE)
    parser.add_argument("--dir", default=f"{root}/.demo", help="the demo's folder (.demo)")
    parser.add_argument("--build", default=f"{root}/build", help="where the programs were built")
    parser.add_argument("--port", type=int, default=6432, help="the first gateway's port (6432)")
    parser.add_argument("--hub-port", type=int, default=8080, help="the hub's port (8080)")
    parser.add_argument("--hub-tls-port", type=int, default=8443,
                        help="port of the first hub that takes commands (8443); the next one is the other's")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shown-dir", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.dir = os.path.abspath(options.dir)
    options.build = os.path.abspath(options.build)
    os.umask(0o077)
    if os.getuid() == 0:
        os.umask(0o022)
        arguments = [f"--{name}" for name in ("detach", "stop", "status") if getattr(options, name)]
        become_user(options, arguments + ["--port", str(options.port),
                                          "--hub-port", str(options.hub_port),
                                          "--hub-tls-port", str(options.hub_tls_port)])
    if not options.inner and not (options.stop or options.status):
        os.makedirs(options.dir, exist_ok=True)
        copy_programs(options.build, f"{options.dir}/bin")
    if not os.path.isdir(options.dir):
        print("demo: nothing was started here")
        raise SystemExit(0 if options.stop else 1)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("demo: told to end"))
    if options.status:
        raise SystemExit(Demo(options).status())
    lock = hold_lock(options.dir)
    demo = Demo(options)
    if options.stop:
        demo.stop()
        return
    if demo.is_running():
        print(f"demo: already running in {demo.shown}; stop it with --stop")
        demo.tour()
        return
    try:
        demo.start()
    except BaseException:
        demo.stop()
        raise
    print(f"demo: ready after {time.monotonic() - began:.0f} seconds")
    demo.tour()
    lock.close()
    if not options.detach:
        stay(demo)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # whoever read the tour has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

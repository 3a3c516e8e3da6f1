"""The hub: public files over HTTP, whatever is asked and however slowly."""

import hashlib
import http.server
import os
import re
import resource
import shutil
import socket
import ssl
import threading
import time

import pytest

from madelog import World
from ports import free_port
from waiting import wait_until
from web import LogFolder, Web, get

US, EU = "us-virginia", "eu-dublin"
TILE = bytes(range(256)) * 32
PARTIAL = bytes(range(32)) * 3
BUNDLE = hashlib.sha256(b"bundle").digest() * (16 * 1024 * 1024 // 32)


def files_of(folder, origin, size=300):
    log = LogFolder(folder.path(origin.replace("/", "-")), folder.give).make()
    log.grow(origin, size)
    log.write("tile/0/000", TILE)
    log.write("tile/0/001.p/44", PARTIAL)
    log.write("tile/0/x001/234", TILE[::-1])
    log.write("tile/1/000.p/1", PARTIAL[:32])
    log.write("tile/entries/000", BUNDLE)
    log.write("tile/entries/001.p/44", b"some entries")
    return log


def hub_config(port, logs, **more):
    return {"hub": {"listen": [{"address": "127.0.0.1", "port": port, "tls": "off"}],
                    "logs": logs, **more}}


HUB_TLS = {"certificate": "hub.crt", "key": "hub.key"}


def give_certificate(gateway, authority, file="hub"):
    """The hub's own, which is not the gateway's."""
    certificate, key = authority.issue("hub", addresses=["127.0.0.1"], names=["localhost"], file=file)
    gateway.copy(certificate, "hub.crt", 0o644)
    gateway.copy(key, "hub.key", 0o600)


def wait_for_hub(port, slow=1):
    def answers():
        try:
            return get(port, "/metrics").status == 200
        except OSError:
            return False
    wait_until(answers, "the hub does not answer", timeout=20 * slow)


class Site:
    """A gateway with a hub and two logs."""

    def __init__(self, gateway, port, us, eu):
        self.gateway, self.port, self.us, self.eu = gateway, port, us, eu

    def get(self, target, **options):
        return get(self.port, target, **options)


@pytest.fixture
def new_site(new_gateway, slow):
    def make(start=True, with_folders=True, **more):
        port = free_port()
        gateway = new_gateway(start=False, config=hub_config(port, {US: US, EU: EU}, **more))
        us, eu = (files_of(gateway, name) for name in (US, EU)) if with_folders else (None, None)
        if start:
            gateway.start()
            wait_for_hub(port, slow)
        return Site(gateway, port, us, eu)
    return make


@pytest.fixture(scope="module")
def site(scratch, authority, pair, request, slow):
    """One for the tests that only read."""
    from conftest import Gateways
    port = free_port()
    gateways = Gateways(scratch, authority, request)
    gateway = gateways(pair, start=False, config=hub_config(port, {US: US, EU: EU}))
    us, eu = (files_of(gateway, name) for name in (US, EU))
    gateway.start()
    wait_for_hub(port, slow)
    yield Site(gateway, port, us, eu)
    gateways.finish()


def hub_pid(gateway):
    return gateway.pids("hub")[0]


# --- what is served -------------------------------------------------------------------------------


def test_files_come_whole_with_type_and_caching(site):
    forever = "public, max-age=604800, immutable"
    for path, kind, caching, body in (
            ("checkpoint", "text/plain; charset=utf-8", "no-store", None),
            ("tile/0/000", "application/octet-stream", forever, TILE),
            ("tile/0/001.p/44", "application/octet-stream", forever, PARTIAL),
            ("tile/0/x001/234", "application/octet-stream", forever, TILE[::-1]),
            ("tile/entries/001.p/44", "application/octet-stream", forever, b"some entries"),
            ("tile/entries/000", "application/octet-stream", forever, BUNDLE)):
        for prefix in ("/log/", f"/log/{US}/", f"/log/{EU}/"):
            reply = site.get(prefix + path)
            assert reply.status == 200, prefix + path
            assert reply["content-type"] == kind and reply["cache-control"] == caching
            assert body is None or reply.body == body
            assert int(reply["content-length"]) == len(reply.body)
            assert reply["content-encoding"] is None and reply["transfer-encoding"] is None
    assert site.get("/log/checkpoint").body.startswith(b"us-virginia\n300\n")
    assert site.get(f"/log/{EU}/checkpoint").body.startswith(b"eu-dublin\n300\n")


def test_every_reply_has_the_security_headers(site):
    for target, method in (("/", "GET"), ("/log/checkpoint", "GET"), ("/log/tile/0/000", "HEAD"),
                           ("/nothing", "GET"), ("/log/tile/0/009", "GET"), ("/", "DELETE"),
                           ("/healthz", "GET"), ("/metrics", "GET"), ("/style.css", "GET")):
        reply = site.get(target, method=method)
        assert reply["x-content-type-options"] == "nosniff", target
        assert reply["content-security-policy"].startswith("default-src 'none'; "), target
        assert reply["referrer-policy"] == "no-referrer", target
        assert reply["access-control-allow-origin"] == "*", target
        assert reply["server"] is None and reply["set-cookie"] is None, target


def test_what_is_not_there_is_404_and_not_stored(site):
    for target in ("/log/tile/0/002", "/log/tile/0/000.p/44", "/log/tile/5/000", "/log/tile/entries/002",
                   f"/log/{US}/", "/log/", "/log", f"/log/{US}", "/log/tile/", "/log/tile", "/favicon.ico",
                   "/log/nowhere/checkpoint", "/log/us-virginia2/checkpoint", "/log/checkpoint.new",
                   "/robots.txt", "/log/tile/0/000.p/", "/log/tile/0/000.p", "/log/tile/0/x001"):
        reply = site.get(target)
        assert (reply.status, reply["cache-control"]) == (404, "no-store"), target
        assert reply.body == b"not found\n", target


def test_the_front_page_lists_the_logs_without_scripts(site):
    reply = site.get("/")
    text = reply.body.decode()
    assert reply.status == 200 and reply["content-type"] == "text/html; charset=utf-8"
    assert 'href="/log/us-virginia/checkpoint"' in text and 'href="/log/eu-dublin/checkpoint"' in text
    assert '<html lang="en">' in text and "<script" not in text and "style=" not in text
    assert text.count("<main>") == text.count("<h1>") == 1 and ">300<" in text
    style = site.get("/style.css")
    assert style.status == 200 and style["content-type"] == "text/css; charset=utf-8"


def test_head_says_what_get_would_and_sends_nothing(site):
    for target in ("/", "/log/checkpoint", "/log/tile/0/000", "/log/tile/entries/000", "/nothing"):
        with Web(site.port) as web:
            head, whole = web.get(target, method="HEAD"), web.get(target)
            assert head.status == whole.status, target
            assert head["content-length"] == str(len(whole.body)), target
            assert head["etag"] == whole["etag"], target


def test_other_methods_are_refused_and_told_which_are_not(site):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "get", "FETCH"):
        reply = site.get("/log/checkpoint", method=method)
        assert (reply.status, reply["allow"]) == (405, "GET, HEAD"), method


def test_a_tile_that_is_known_is_not_sent_again(site):
    with Web(site.port) as web:
        etag = web.get("/log/tile/0/000")["etag"]
        assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+"', etag)
        for known in (etag, f"W/{etag}", f'"other", {etag}', f'"other",{etag} , "more"', "*"):
            reply = web.get("/log/tile/0/000", if_none_match=known)
            assert (reply.status, reply.body, reply["etag"]) == (304, b"", etag), known
        for other in ('"other"', etag[:-2] + '"', etag[1:-1], etag + "x", ""):
            assert web.get("/log/tile/0/000", if_none_match=other).status == 200, other
        assert web.get("/log/checkpoint", if_none_match="*").status == 200
        assert web.get("/log/tile/0/009", if_none_match="*").status == 404


# --- what is asked wrongly ------------------------------------------------------------------------


def test_no_target_leads_out_of_the_log(site):
    secret = site.gateway.path("credentials")
    for target in ("/log/../credentials", "/log/tile/../../credentials", "/log/%2e%2e/credentials",
                   "/log/..%2fcredentials", "/log/%2e%2e%2fcredentials", "/log/..\\credentials",
                   "/log//checkpoint", "//log/checkpoint", "/log/./checkpoint", "/./log/checkpoint",
                   "/log/tile/0//000", "/log/tile/0/./000", "/log/tile/0/000/", "/log/checkpoint/",
                   "/log/tile/0/000/..", "/log/tile/0/%30%30%30", "/log/check%70oint", "/LOG/checkpoint",
                   f"/log/{secret}", secret, f"/log/{US}/..{secret}", f"/log/{US}/../{EU}/checkpoint",
                   "/log/checkpoint?", "/log/checkpoint?x=1", "/log/tile/0/000?v=2", "/?", "/healthz?full",
                   "/log/checkpoint#top", "/log/checkpoint;x", "log/checkpoint", "checkpoint", "*",
                   "/log/tile/0/00\xb3", "/log/tile/0/x000/001", "/log/tile/64/000", "/log/tile/-1/000",
                   "http://hub.example", "http:///log/checkpoint", "ftp://hub.example/log/checkpoint",
                   "/" + "a" * 5000, "/log/tile/0/" + "x001/" * 900 + "000"):
        reply = site.get(target)
        assert reply.status == 404, target
        assert reply.body == b"not found\n", target


def test_an_absolute_target_counts_without_its_host(site):
    for target in ("http://hub.example/log/checkpoint", "HTTP://[::1]:80/log/checkpoint",
                   "https://other.example/log/checkpoint"):
        assert site.get(target).body.startswith(b"us-virginia\n"), target
    assert site.get("http://hub.example/log/../credentials").status == 404


def test_a_nul_hides_nothing(site):
    for line in (b"GET /log/checkpoint\0/../../credentials HTTP/1.1", b"GET /log/checkpoint\0 HTTP/1.1",
                 b"GET /\0 HTTP/1.1", b"GET \0 HTTP/1.1", b"GET /log/\0checkpoint HTTP/1.1"):
        with Web(site.port) as web:
            web.send(line + b"\r\nHost: x\r\n\r\n")
            reply = web.read()
            assert (reply.status, reply.body) == (400, b"malformed request\n"), line
            assert web.is_closed()


def test_what_is_no_http_ends_the_connection(site):
    for data, statuses in ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {400, None}),
                           (b"GET /log/check point HTTP/1.1\r\nHost: x\r\n\r\n", {404}),
                           (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", {400, 505, None}),
                           (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", {400}),  # no Host
                           (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414, None}),
                           (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20000 + b"\r\n\r\n", {431, None}),
                           (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n", {431, 400, None})):
        with Web(site.port) as web:
            try:
                web.send(data)
                web.socket.shutdown(socket.SHUT_WR)
                status = web.read().status
            except (EOFError, OSError):
                status = None
            assert status in statuses, data[:40]
    assert site.get("/log/checkpoint").status == 200


def test_a_body_is_never_taken_for_a_request(site):
    hidden = b"GET /log/tile/0/001.p/44 HTTP/1.1\r\nHost: x\r\n\r\n"
    for method, framing in ((b"GET", b"Content-Length: %d" % len(hidden)),
                            (b"POST", b"Content-Length: %d" % len(hidden)),
                            (b"GET", b"Transfer-Encoding: chunked"),
                            (b"GET", b"Transfer-Encoding: chunked\r\nContent-Length: 5")):
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(hidden), hidden) if b"chunked" in framing else hidden
        with Web(site.port) as web:
            web.send(method + b" /log/checkpoint HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n" + body)
            first = web.read()
            assert first.status in (200, 400, 405)
            assert web.is_closed() and PARTIAL not in web.rest


def test_links_in_a_log_are_not_followed(new_site):
    site = new_site()
    os.symlink(site.gateway.path("credentials"), site.us.path + "/tile/0/002")
    os.symlink("000", site.us.path + "/tile/0/003")
    os.symlink(site.eu.path + "/tile/0", site.us.path + "/tile/3")
    os.symlink("..", site.us.path + "/tile/4")
    os.mkfifo(site.us.path + "/tile/0/004")
    os.mkdir(site.us.path + "/tile/0/005")
    for path in ("0/002", "0/003", "3/000", "4/000", "0/004", "0/005"):
        assert site.get(f"/log/tile/{path}").status == 404, path
    assert site.get("/log/tile/0/000").body == TILE


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_serves_many_requests(site):
    with Web(site.port) as web:
        for _ in range(50):
            assert web.get("/log/tile/0/000").body == TILE
            assert web.get("/nothing").status == 404
        web.ask("/log/checkpoint", connection="close")
        assert web.read()["connection"] == "close" and web.is_closed()
    with Web(site.port) as web:
        web.ask("/log/checkpoint", version="HTTP/1.0")
        assert web.read().status == 200 and web.is_closed()


def test_pipelined_requests_are_answered_in_order(site):
    paths = ["tile/0/000", "tile/0/001.p/44", "tile/0/009", "checkpoint", "tile/entries/001.p/44"] * 20
    with Web(site.port) as web:
        for path in paths:
            web.ask(f"/log/{path}")
        expected = {"tile/0/000": TILE, "tile/0/001.p/44": PARTIAL, "tile/0/009": b"not found\n",
                    "tile/entries/001.p/44": b"some entries"}
        for path in paths:
            reply = web.read()
            assert reply.body == expected.get(path, reply.body), path
            assert path != "checkpoint" or reply.body.startswith(b"us-virginia\n")


def test_whoever_closes_his_side_gets_his_reply_and_no_more(site, slow):
    for data, has_reply in ((b"GET /log/checkpoint HTTP/1.1\r\nHost: x\r\n\r\n", True),
                            (b"GET /log/checkpoint HTTP/1.1\r\n", False), (b"", False)):
        with Web(site.port) as web:
            web.send(data)
            web.socket.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            assert not has_reply or web.read().status == 200
            assert web.is_closed() and time.monotonic() - began < 5 * slow


def memory_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) * 1024


def test_large_files_are_sent_in_constant_memory(new_site, slow):
    site = new_site()
    readers = [Web(site.port) for _ in range(20)]
    before = memory_of(hub_pid(site.gateway))
    for web in readers:
        web.ask("/log/tile/entries/000")
        web.socket.recv(1000)  # it has begun, and is not read on
    wait_until(lambda: site.get("/log/checkpoint").status == 200, "others wait", timeout=5 * slow)
    assert memory_of(hub_pid(site.gateway)) - before < 4 * 1024 * 1024 * slow
    for web in readers:
        web.close()


def open_slow(site, count, source, first=b"GET /log/check"):
    found = []
    for _ in range(count):
        web = Web(site.port, source=source)
        web.send(first)
        found.append(web)
    return found


def test_two_hundred_slow_clients_do_not_stop_others(new_site, slow):
    site = new_site()
    slowly = open_slow(site, 200, "127.0.0.2")  # more than one address may have
    slowly += open_slow(site, 100, "127.0.0.1")  # as many as this one may
    began = time.monotonic()
    for _ in range(20):
        for web in slowly[-50:]:
            try:
                web.send(b"p")
            except OSError:
                pass  # it had to make room
        assert site.get("/log/tile/0/000").body == TILE
    assert time.monotonic() - began < 5 * slow
    figures = metrics_of(site)
    assert figures['ringfence_hub_connections_ended_total{reason="made_room"}'] >= 100
    assert figures["ringfence_hub_connections"] <= 201
    for web in slowly:
        web.close()


def test_a_full_house_makes_room_for_whoever_comes(new_site):
    site = new_site(clients=20, per_address=50)
    crowd = open_slow(site, 60, "127.0.0.2")
    assert site.get("/log/checkpoint").status == 200
    assert metrics_of(site)["ringfence_hub_connections"] <= 20
    for web in crowd:
        web.close()


def test_whoever_takes_a_reply_is_not_displaced(new_site, slow):
    site = new_site(clients=5, per_address=5)
    readers = [Web(site.port) for _ in range(5)]
    for web in readers:
        web.ask("/log/tile/entries/000")
        web.rest = web.socket.recv(1)
    with Web(site.port, source="127.0.0.2") as late:
        assert late.is_closed()  # all seats are taken
    for web in readers:
        assert web.read().body == BUNDLE
    wait_until(lambda: site.get("/log/checkpoint").status == 200, "no seat", timeout=5 * slow)


def test_a_request_that_does_not_end_is_ended(new_site, slow):
    site = new_site()
    with Web(site.port, timeout=40) as drip, Web(site.port, timeout=40) as silent:
        began = time.monotonic()
        drip.send(b"GET /log/checkpoint HTTP/1.1\r\nHost: x\r\n")
        ended = False
        while not ended and time.monotonic() - began < 30 * slow:
            try:
                drip.send(b"X: y\r\n")
                time.sleep(0.5)
            except OSError:
                ended = True
        assert ended and time.monotonic() - began > 13, "the deadline moved with the bytes"
        assert silent.is_closed()
    assert metrics_of(site)['ringfence_hub_connections_ended_total{reason="slow"}'] >= 2


# --- state and figures ----------------------------------------------------------------------------


def metrics_of(site):
    """Every sample; each line is checked against the exposition format."""
    reply = site.get("/metrics")
    assert reply.status == 200 and reply["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found, typed = {}, set()
    for line in reply.body.decode().splitlines():
        if line.startswith("# TYPE "):
            name, kind = re.fullmatch(r"# TYPE (\w+) (counter|gauge)", line).groups()
            typed.add(name)
            assert (kind == "counter") == name.endswith("_total")
        elif not line.startswith("# HELP "):
            name, labels, value = re.fullmatch(
                r'(\w+)(\{(?:\w+="[^"]*",?)*\})? (-?\d+(?:\.\d+)?)', line).groups()
            assert name in typed and name + (labels or "") not in found
            found[name + (labels or "")] = float(value)
    return found


def test_metrics_count_requests_bytes_and_logs(new_site):
    site = new_site()
    before = metrics_of(site)
    for _ in range(3):
        etag = site.get("/log/tile/0/000")["etag"]
    site.get("/log/tile/0/000", if_none_match=etag)
    site.get("/log/tile/0/000", method="HEAD")
    site.get("/log/tile/0/017")
    site.get("/nobody/was/here", method="POST")
    after = metrics_of(site)

    def rise(name):
        return after.get(name, 0) - before.get(name, 0)
    requests = "ringfence_hub_requests_total"
    assert rise(requests + '{path="tile",status="200"}') == 4
    assert rise(requests + '{path="tile",status="304"}') == 1
    assert rise(requests + '{path="tile",status="404"}') == 1
    assert rise(requests + '{path="other",status="405"}') == 1
    assert rise("ringfence_hub_sent_bytes_total") >= 3 * len(TILE)
    assert after['ringfence_hub_log_size{region="us-virginia"}'] == 300
    assert after['ringfence_hub_log_readable{region="eu-dublin"}'] == 1
    assert 0 <= after['ringfence_hub_checkpoint_age_seconds{region="us-virginia"}'] < 300
    assert abs(after["process_start_time_seconds"] - time.time()) < 300
    assert after['ringfence_build_info{version="0.1.0"}'] == 1
    site.us.grow(US, 12345)
    assert metrics_of(site)['ringfence_hub_log_size{region="us-virginia"}'] == 12345


def test_health_names_each_log_that_is_not_well(new_site):
    site = new_site(stale="1min")
    assert (site.get("/healthz").status, site.get("/healthz").body) == (200, b"ok\n")
    site.us.write("checkpoint", b"nonsense\n")
    reply = site.get("/healthz")
    assert (reply.status, reply.body) == (503, b"us-virginia: the checkpoint is no checkpoint\n")
    assert reply["cache-control"] == "no-store"
    os.unlink(site.eu.path + "/checkpoint")
    assert site.get("/healthz").body.splitlines() == [
        b"us-virginia: the checkpoint is no checkpoint", b"eu-dublin: no checkpoint that can be read"]
    site.eu.grow(EU, 1)
    site.us.grow(US, 301)
    old = time.time() - 100
    os.utime(site.us.path + "/checkpoint", (old, old))
    assert re.fullmatch(rb"us-virginia: the checkpoint is 1\d\d s old\n", site.get("/healthz").body)
    site.us.grow(US, 302)
    assert site.get("/healthz").status == 200


# --- the process ----------------------------------------------------------------------------------


def test_the_hub_reports_its_sandbox_and_tells_no_addresses(site):
    site.get("/log/checkpoint")
    log = site.gateway.log()
    if "seccomp=off(sanitizer)" not in log:
        assert re.search(r'event=child-ready child=hub-0 pid=\d+ sandbox="seccomp=yes landlock=\w+"', log)
    assert not re.search(r"event=.*/log/|user-agent", log, re.I)
    of_hub = [line for line in log.splitlines() if " hub " in line or "role=hub" in line]
    assert not any("127.0.0." in line for line in of_hub)


def test_a_hub_that_is_killed_comes_back_and_nobody_else_notices(new_site, slow):
    site = new_site()
    with site.gateway.connect("us_analyst") as session:
        site.gateway.kill_role("hub")
        wait_until(lambda: site.gateway.log_contains("child=hub-0.*signal=SIGKILL"), "nobody saw it")
        wait_for_hub(site.port, slow)
        assert site.get("/log/tile/0/000").body == TILE
        assert session.execute("SELECT 1").fetchone() == (1,)


test_a_hub_that_is_killed_comes_back_and_nobody_else_notices = pytest.mark.crashes(
    test_a_hub_that_is_killed_comes_back_and_nobody_else_notices)


def test_a_hub_that_cannot_start_keeps_nobody_from_being_served(new_site, slow):
    site = new_site(start=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", site.port))
        taken.listen()
        site.gateway.start()
        with site.gateway.connect("us_analyst") as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
        site.gateway.wait_for_log("child-start-failed .*could not open listener 127.0.0.1:")
        wait_until(lambda: site.gateway.log().count("child-start-failed") >= 5, "it gave up",
                   timeout=30 * slow)
        site.gateway.reload()
        site.gateway.wait_for_log("event=reloaded")
    wait_for_hub(site.port, slow)
    assert site.get("/healthz").status == 200


def test_a_folder_that_appears_later_is_served_then(new_site, slow):
    site = new_site(with_folders=False)
    assert site.get("/log/checkpoint").status == 404
    assert site.get("/healthz").body.startswith(b"us-virginia: no checkpoint")
    assert site.get("/").status == 200
    files_of(site.gateway, US)
    wait_until(lambda: status_of(site, "/log/checkpoint") == 200, "it is never served", timeout=20 * slow)
    assert site.get("/log/tile/0/000").body == TILE
    os.rename(site.gateway.path(US), site.gateway.path("before"))
    assert site.get("/log/checkpoint").status in (200, 404)  # the folder is the same, elsewhere
    again = files_of(site.gateway, US)
    again.grow(US, 301)
    wait_until(lambda: b"\n301\n" in body_of(site, "/log/checkpoint"), "the old one is still served",
               timeout=20 * slow)
    assert not site.gateway.log_contains("child-died child=hub")


class Visitors:
    """Somebody who asks all the time, over new connections; what happened to them."""

    def __init__(self, port):
        self.port, self.answered, self.refused, self.broken = port, 0, 0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            try:
                self.answered += get(self.port, "/log/checkpoint").status == 200
            except ConnectionRefusedError:
                self.refused += 1
            except (OSError, EOFError):
                self.broken += 1  # it was with the one that ended

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


@pytest.mark.crashes
def test_a_hub_that_starts_anew_refuses_nobody(new_site, slow):
    site = new_site()
    with Visitors(site.port) as visitors:
        for number in range(6):
            before = hub_pid(site.gateway)
            if number % 2 == 0:
                site.gateway.kill_role("hub")
            else:
                os.rename(site.us.path, site.gateway.path(f"before-{number}"))
                site.us = files_of(site.gateway, US)
            wait_until(lambda: site.gateway.pids("hub") not in ([], [before]), "no new hub", timeout=30 * slow)
            answered = visitors.answered
            wait_until(lambda: visitors.answered > answered, "nobody is served", timeout=20 * slow)
    assert visitors.refused == 0
    assert visitors.broken <= 6


def test_sockets_move_between_gateway_and_hub_at_a_reload(new_site, slow):
    site = new_site()
    gateway, port = site.gateway, free_port()
    gateway.config["hub"]["listen"] = [{"address": "127.0.0.1", "port": port, "tls": "off"}]
    gateway.config["listen"].append({"address": "127.0.0.1", "port": site.port, "tls": "off"})
    gateway.write_config()
    gateway.reload()
    wait_for_hub(port, slow)
    gateway.wait_for_log("event=reloaded")
    with Web(site.port) as web:  # a worker answers now, and HTTP is nothing to it
        web.ask("/")
        with pytest.raises((EOFError, ConnectionResetError, ValueError, IndexError)):
            web.read()
    gateway.config["listen"].pop()
    gateway.config["hub"]["listen"][0]["port"] = site.port
    gateway.write_config()
    gateway.reload()
    gateway.wait_for_log("event=reloaded .*listeners=5")
    wait_for_hub(site.port, slow)
    assert all(get(site.port, "/log/checkpoint").status == 200 for _ in range(20))


def status_of(site, target):
    try:
        return site.get(target).status
    except OSError:
        return None  # it makes way for the next one just now


def body_of(site, target):
    try:
        return site.get(target).body
    except (OSError, EOFError):
        return b""


def test_a_reload_brings_other_logs_and_other_sockets(new_site, slow):
    site = new_site()
    gateway = site.gateway
    pid = hub_pid(gateway)
    with Web(site.port) as web:  # the same folders by other names: no new process, no connection lost
        gateway.config["hub"]["logs"] = {"paris": EU, US: US}
        gateway.write_config()
        gateway.reload()
        gateway.wait_for_log("child-reloaded child=hub-0")
        wait_until(lambda: web.get("/log/paris/checkpoint").status == 200, "paris is not there")
        assert web.get("/log/checkpoint").body.startswith(b"eu-dublin\n")
        assert web.get(f"/log/{EU}/checkpoint").status == 404
        assert hub_pid(gateway) == pid
    other = LogFolder(gateway.path("other"), gateway.give).make()
    other.grow("other", 7)
    port = free_port()
    gateway.config["hub"].update(logs={"other": "other"},
                                 listen=[{"address": "127.0.0.1", "port": port, "tls": "off"},
                                         {"unix": "run/hub.sock"}])
    gateway.write_config()
    gateway.reload()
    wait_for_hub(port, slow)
    assert get(port, "/log/checkpoint").body.startswith(b"other\n7\n")
    assert get(port, "/log/paris/checkpoint").status == 404
    assert status_of(site, "/") is None and hub_pid(gateway) != pid
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(gateway.path("run/hub.sock"))
        local.sendall(b"GET /log/checkpoint HTTP/1.0\r\n\r\n")
        assert local.recv(9) == b"HTTP/1.1 "
    assert not gateway.log_contains("child-died child=hub")


def test_a_reply_that_has_begun_outlasts_a_new_process(new_site, slow):
    site = new_site()
    pid = hub_pid(site.gateway)
    with Web(site.port) as reader, Web(site.port) as other:
        reader.ask("/log/tile/entries/000")
        reader.rest = reader.socket.recv(1)
        files_of(site.gateway, "other")
        site.gateway.config["hub"]["logs"] = {US: "other", EU: EU}
        site.gateway.write_config()
        for _ in range(2):  # the second finds it leaving
            site.gateway.reload()
        site.gateway.wait_for_log('role=hub event=leaving reason="another folder" replies=1')
        assert other.get("/log/checkpoint").body.startswith(b"us-virginia\n")  # as it was
        assert reader.read().body == BUNDLE
    wait_until(lambda: body_of(site, "/log/checkpoint").startswith(b"other\n"), "no new process",
               timeout=20 * slow)
    assert hub_pid(site.gateway) != pid and not site.gateway.log_contains("child-died child=hub")


def test_tls_where_the_listener_says_so(new_gateway, authority, slow):
    plain, secure = free_port(), free_port()
    config = hub_config(plain, {US: US}, tls=HUB_TLS)
    config["hub"]["listen"].append({"address": "127.0.0.1", "port": secure, "tls": "required"})
    gateway = new_gateway(start=False, config=config)
    give_certificate(gateway, authority)
    files_of(gateway, US)
    gateway.start()
    wait_for_hub(plain, slow)
    with open(gateway.path("hub.crt"), encoding="ascii") as own:
        assert ssl.get_server_certificate(("127.0.0.1", secure)).strip() in own.read()
    context = ssl.create_default_context(cafile=gateway.ca)

    def wrap(s):
        return context.wrap_socket(s, server_hostname="localhost")
    with Web(secure, wrap=wrap) as web:
        assert web.socket.version() in ("TLSv1.2", "TLSv1.3")
        assert web.get("/log/tile/0/000").body == TILE
        assert web.get("/log/tile/entries/000").body == BUNDLE
        assert web.get("/nothing")["x-content-type-options"] == "nosniff"
    with Web(secure) as web:  # nothing in clear
        web.ask("/log/checkpoint")
        with pytest.raises((EOFError, ConnectionResetError, ValueError, IndexError)):
            web.read()
    secure_only = context.minimum_version
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Web(secure, wrap=wrap)
    slowly = [Web(secure) for _ in range(120)]
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.minimum_version = secure_only
    with Web(secure, wrap=wrap) as web:
        assert web.get("/log/checkpoint").status == 200
    for web in slowly:
        web.close()


def test_a_renewed_certificate_is_shown_after_a_reload(new_gateway, authority, slow):
    port = free_port()
    gateway = new_gateway(start=False, config={"hub": {
        "listen": [{"address": "127.0.0.1", "port": port, "tls": "required"}], "tls": HUB_TLS}})
    give_certificate(gateway, authority)
    gateway.start()

    def shown():
        try:
            return ssl.get_server_certificate(("127.0.0.1", port))
        except OSError:
            return None
    first = wait_until(shown, "no TLS", timeout=20 * slow)
    give_certificate(gateway, authority, "hub-renewed")
    gateway.reload()
    wait_until(lambda: shown() not in (None, first), "the old certificate stays", timeout=20 * slow)


@pytest.mark.parametrize("change, complaint", [
    ({"listen": [{"address": "127.0.0.1", "port": 1, "tls": "optional"}]}, "expected required or off"),
    ({"listen": []}, "hub.listen"),
    ({"clients": 0}, "hub.clients"),
    ({"stale": "1ms"}, "hub.stale"),
    ({"logs": {"a b": "x"}}, "hub.logs"),
    ({"listen": [{"address": "127.0.0.1", "port": 1}]}, "hub.listen[0]: TLS needs"),
    ({"tls": {"certificate": "gateway.crt", "key": "gateway.key"}}, "hub.tls.key: this is the gateway's own"),
])
def test_mistakes_in_the_section_are_told(new_gateway, change, complaint):
    config = hub_config(1024, {US: US})
    config["hub"].update(change)
    gateway = new_gateway(start=False, config=config)
    gateway.start(wait=False)
    assert gateway.process.wait(timeout=30) == 2
    assert complaint in gateway.log()
    gateway.process = None


# --- who may read ---------------------------------------------------------------------------------


class Guarded(Site):
    """A hub with a plain, a TLS and a unix socket, and one auditor."""

    def __init__(self, new_gateway, authority, profile, **limits):
        self.secure_port = free_port()
        config = hub_config(free_port(), {US: US, EU: EU}, tls=HUB_TLS, auditors="auditors")
        config["hub"]["listen"] += [{"address": "127.0.0.1", "port": self.secure_port},
                                    {"unix": "run/hub.sock"}]
        config["limits"] = limits
        gateway = new_gateway(start=False, config=config,
                              policy=lambda p: p.update(publication={"profile": profile}))
        give_certificate(gateway, authority)
        gateway.write("auditors", "", 0o600)
        self.token, line = gateway.command("key", "new", "auditor", "alice").stdout.splitlines()
        gateway.write("auditors", f"# whom we let in\n{line}\n", 0o600)
        super().__init__(gateway, config["hub"]["listen"][0]["port"], files_of(gateway, US),
                         files_of(gateway, EU))
        self.context = ssl.create_default_context(cafile=gateway.ca)

    def web(self, **options):
        return Web(self.secure_port, wrap=lambda s: self.context.wrap_socket(
            s, server_hostname="localhost"), **options)

    def private(self, target, token=None, **options):
        with self.web() as web:
            return web.get(target, authorization=token and f"Bearer {token}", **options)

    def local(self, target, token=None):
        with socket.socket(socket.AF_UNIX) as local:
            local.settimeout(20)
            local.connect(self.gateway.path("run/hub.sock"))
            bearer = f"Authorization: Bearer {token}\r\n" if token else ""
            local.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n{bearer}Connection: close\r\n\r\n".encode())
            data = b""
            while more := local.recv(65536):
                data += more
        return int(data.split(b" ")[1]), data.split(b"\r\n\r\n", 1)[1]

    def become(self, profile):
        self.gateway.policy["publication"] = {"profile": profile}
        self.gateway.write_policy()
        before = self.gateway.log().count("event=reloaded")
        self.gateway.reload()
        wait_until(lambda: self.gateway.log().count("event=reloaded") > before, "no reload", timeout=30)


@pytest.fixture
def guarded(new_gateway, authority, slow):
    def make(profile, **limits):
        site = Guarded(new_gateway, authority, profile, **limits)
        site.gateway.start()
        wait_for_hub(site.port, slow)
        return site
    return make


TARGETS = ("/log/checkpoint", "/log/tile/0/000", f"/log/{EU}/tile/entries/001.p/44", "/log/tile/0/077",
           "/log/nowhere/checkpoint", "/log/", "/log/tile/0/000.p/")


def test_an_auditor_reads_what_others_do_not(guarded):
    site = guarded("auditors")
    for target in TARGETS:
        for reply in (site.private(target), site.private(target, token=site.token[:-1] + "x"),
                      site.private(target, token="short")):
            assert (reply.status, reply.body) == (401, b"logs are shown to auditors\n"), target
            assert reply["www-authenticate"].startswith("Bearer realm=")
        reply = site.get(target, authorization=f"Bearer {site.token}")  # in clear nothing is let in
        assert (reply.status, reply["www-authenticate"]) == (403, None), target
    known = site.private("/log/tile/0/000", token=site.token)
    assert (known.status, known.body) == (200, TILE)
    assert site.private("/log/tile/0/000", token=site.token, if_none_match=known["etag"]).status == 304
    assert site.private("/log/tile/0/077", token=site.token).status == 404
    assert site.local("/log/tile/0/000")[0] == 401
    assert site.local("/log/tile/0/000", site.token) == (200, TILE)
    unknown, wrong = site.private("/log/"), site.private("/log/", token="x" * 47)
    assert unknown["www-authenticate"] == 'Bearer realm="logs"'
    assert wrong["www-authenticate"] == 'Bearer realm="logs", error="invalid_token"'


def test_no_cache_and_no_foreign_page_gets_an_auditors_answer(guarded):
    site = guarded("auditors")
    for target in ("/log/tile/0/000", "/log/checkpoint", "/log/tile/0/077", "/", "/healthz", "/metrics"):
        for token in (None, site.token):
            reply = site.private(target, token=token, origin="https://elsewhere.example")
            assert reply["access-control-allow-origin"] is None, target
            assert reply["cache-control"] == "private, no-store" and reply["vary"] == "Authorization"
            assert reply["cross-origin-resource-policy"] == "same-origin"
    asked = site.private("/log/checkpoint", method="OPTIONS", origin="https://elsewhere.example",
                         access_control_request_headers="authorization")
    assert asked.status == 405
    assert not any(name.startswith("access-control") for name in asked.headers)


def test_pages_show_figures_of_logs_to_auditors_alone(guarded):
    site = guarded("auditors")
    os.unlink(site.eu.path + "/checkpoint")
    for target in ("/", "/metrics", "/healthz"):
        stranger, auditor = site.private(target), site.private(target, token=site.token)
        assert US.encode() not in stranger.body and EU.encode() not in stranger.body, target
        assert EU.encode() in auditor.body, target
    assert site.private("/healthz").body == b"a log is not well\n"
    assert b"auditors alone" in site.private("/").body


def test_internal_logs_are_as_if_there_were_none(guarded):
    site = guarded("internal")
    os.unlink(site.eu.path + "/checkpoint")
    for target in TARGETS:
        replies = [site.get(target), site.private(target), site.private(target, token=site.token)]
        assert {(r.status, r.body) for r in replies} == {(404, b"not found\n")}, target
        assert {tuple(n for n in r.headers if n != "date") for r in replies} == \
            {tuple(n for n in site.get("/nothing").headers if n != "date")}
    assert site.get("/healthz").body == b"ok\n"
    assert b"There are none yet" in site.get("/").body
    text = site.get("/metrics").body.decode()
    assert US not in text and 'path="checkpoint"' not in text and 'path="tile"' not in text


def test_a_reload_changes_who_may_read_without_a_new_process(guarded):
    site = guarded("public")
    pid = hub_pid(site.gateway)
    with Web(site.port) as plain, site.web() as secure:
        def statuses():
            return (plain.get("/log/checkpoint").status, secure.get("/log/checkpoint").status,
                    secure.get("/log/checkpoint", authorization=f"Bearer {site.token}").status)
        assert statuses() == (200, 200, 200)
        for profile, expected in (("auditors", (403, 401, 200)), ("internal", (404, 404, 404)),
                                  ("auditors", (403, 401, 200)), ("public", (200, 200, 200))):
            site.become(profile)
            assert statuses() == expected, profile
        site.become("auditors")
        site.gateway.write("auditors", "bob " + "0" * 64 + "\n", 0o600)  # alice may not any more
        site.become("auditors")
        assert statuses() == (403, 401, 401)
    assert hub_pid(site.gateway) == pid


def test_a_token_ends_with_its_day(guarded):
    site = guarded("auditors")
    digest = hashlib.sha256(site.token.encode()).hexdigest()
    today = time.strftime("%Y-%m-%d", time.gmtime())
    for day, status in ((today, {200, 401}), ("2999-12-31", {200}), ("2020-01-01", {401})):
        site.gateway.write("auditors", f"alice {digest} {day}\n", 0o600)
        site.become("auditors")
        assert site.private("/log/checkpoint", token=site.token).status in status, day


def test_wrong_tokens_of_one_address_are_limited(guarded):
    site = guarded("auditors", login_failures=5)

    def status(token, source=None):
        with site.web(source=source) as web:
            return web.get("/log/checkpoint", authorization=f"Bearer {token}").status
    assert [status("x" * 47) for _ in range(5)] == [401] * 5
    assert status("x" * 47) == status(site.token) == 429
    assert status(site.token, source="127.0.0.2") == 200  # another is not held up
    assert site.private("/log/checkpoint").status == 401  # nothing was tried
    assert site.private("/style.css").status == 200
    assert site.private("/log/checkpoint", token=site.token)["retry-after"] == "60"


def test_the_profile_outlives_the_hub_and_leaks_in_no_new_process(guarded, slow):
    site = guarded("auditors")
    pid = hub_pid(site.gateway)
    os.rename(site.us.path, site.gateway.path("before"))
    site.us = files_of(site.gateway, US)
    wait_until(lambda: site.gateway.pids("hub") not in ([], [pid]), "no new hub", timeout=30 * slow)
    assert site.private("/log/checkpoint").status == 401
    assert site.private("/log/checkpoint", token=site.token).status == 200


@pytest.mark.parametrize("content, mode, status, complaint", [
    ("alice secret-in-clear\n", 0o600, 2, "auditors:1: .*64 lower-case hex digits"),
    ("", 0o644, 2, "auditors.* holds a secret and others can read it"),
    (None, 0o600, 3, "auditors"),
])
def test_mistakes_in_the_file_of_auditors_are_told(new_gateway, authority, content, mode, status, complaint):
    site = Guarded(new_gateway, authority, "auditors")
    if content is None:
        os.unlink(site.gateway.path("auditors"))
    else:
        site.gateway.write("auditors", content, mode)
    checked = site.gateway.command("check")
    assert checked.returncode == status and re.search(complaint, checked.stderr)
    site.gateway.start(wait=False)
    assert site.gateway.process.wait(timeout=30) == status
    assert re.search(complaint, site.gateway.log()) and "secret-in-clear" not in site.gateway.log()
    site.gateway.process = None


def test_an_auditor_verifies_a_log_that_is_not_public(new_gateway, authority, tmp_path, build, slow):
    made = World(build, tmp_path)
    log = made.make("log")
    site = Guarded(new_gateway, authority, "auditors")
    shutil.rmtree(site.us.path)
    shutil.copytree(log, site.us.path)
    for folder, _, names in os.walk(site.us.path):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            site.gateway.give(path)
    site.gateway.start()
    wait_for_hub(site.port, slow)
    token_file = tmp_path / "token"
    token_file.write_text(site.token + "\n")
    token_file.chmod(0o600)
    url = f"https://localhost:{site.secure_port}/log/{US}"
    access = ("--token-file", token_file, "--ca", site.gateway.ca)
    assert made.verify(url, *access).returncode == 0
    assert made.run("show", url, *access, key=False).returncode == 0
    stranger = made.verify(url, "--ca", site.gateway.ca)
    assert stranger.returncode == 3 and "answers 401" in stranger.stderr
    token_file.write_text("x" * 47)
    assert made.verify(url, *access).returncode == 3
    clear = f"http://127.0.0.1:{site.port}/log/{US}"
    for places in ((clear,), (log,), (url, "https://elsewhere.example/log")):
        refused = made.run("verify", *places, *access)
        assert refused.returncode == 2 and "token" in refused.stderr, places
    assert 'status="401"' in site.private("/metrics").body.decode()
    token_file.chmod(0o644)
    assert made.verify(url, *access).returncode == 2  # others could read it
    assert site.token not in site.gateway.log()


def test_a_token_is_not_sent_where_a_server_points(tmp_path, build, authority):
    heard = []
    certificate, key = authority.issue("pointing", addresses=["127.0.0.1"], names=["localhost"], file="pointing")

    class Pointing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append((self.path, self.headers["Authorization"]))
            self.send_response(302)
            self.send_header("Location", f"https://localhost:{self.server.server_port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pointing)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    token_file = tmp_path / "token"
    token_file.write_text("t" * 47)
    token_file.chmod(0o600)
    made = World(build, tmp_path)
    made.make("log")
    done = made.verify(f"https://localhost:{server.server_port}/log", "--token-file", token_file, "--ca",
                       authority.certificate)
    server.shutdown()
    server.server_close()
    assert done.returncode == 3 and "answers 302" in done.stderr
    assert heard and set(heard) == {("/log/checkpoint", "Bearer " + "t" * 47)}


def test_the_hub_keeps_no_descriptors(new_site):
    site = new_site()

    def count():
        return len(os.listdir(f"/proc/{hub_pid(site.gateway)}/fd"))
    site.get("/log/checkpoint")
    before = count()
    for _ in range(30):
        for target in ("/log/checkpoint", "/log/tile/0/000", "/log/tile/0/077", "/healthz", "/metrics", "/"):
            for method in ("GET", "HEAD"):
                site.get(target, method=method)
        etag = site.get("/log/tile/0/000")["etag"]
        site.get("/log/tile/0/000", if_none_match=etag)
        with Web(site.port) as web:
            web.send(b"GET / HT")
    wait_until(lambda: count() <= before + 1, "descriptors pile up")
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 100

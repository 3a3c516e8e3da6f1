"""Fixtures: one real region for the whole run, a real gateway for a module or a test.

`tests/support/run.py` (behind `./dev test`) says by RF_BUILD, RF_SANDBOX and RF_SLOW which build is
under test, how it is confined and how much patience it needs."""

import glob
import itertools
import os
import re
import shutil
import sys
import tempfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

from certificates import Authority  # noqa: E402
from gateway import Gateway  # noqa: E402
from region import make_region  # noqa: E402

BUILD = os.path.join(ROOT, os.environ.get("RF_BUILD", "build/test"))
SANDBOX = os.environ.get("RF_SANDBOX", "full")
SLOW = int(os.environ.get("RF_SLOW", "1"))

# What must never be in a gateway's log, whatever the test was about.
ALARMS = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|"
                    r"\bassertion\b.*failed|seccomp.*killed|signal=(?:11|6|31)\b")


def pytest_configure(config):
    config.addinivalue_line("markers", "crashes: this test makes a process of the gateway die")


@pytest.fixture(scope="session")
def build():
    return BUILD


@pytest.fixture(scope="session")
def slow():
    return SLOW


@pytest.fixture(scope="session")
def scratch(request):
    """A folder that other users may pass through; it stays when a test failed."""
    folder = tempfile.mkdtemp(prefix="ringfence-test-", dir="/tmp")
    os.chmod(folder, 0o755)
    yield folder
    if request.session.testsfailed and os.environ.get("RF_KEEP"):
        print(f"\nkept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def tidy(scratch):
    """Databases that a module has made and stopped go with it: together they would fill a small disk."""
    yield
    if os.environ.get("RF_KEEP"):
        return
    for version in glob.glob(f"{scratch}/**/PG_VERSION", recursive=True):
        data = os.path.dirname(version)
        if os.path.exists(f"{data}/global") and not os.path.exists(f"{data}/postmaster.pid"):
            shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="session")
def authority(scratch):
    return Authority(os.path.join(scratch, "ca"))


@pytest.fixture(scope="session")
def pair(scratch, authority):
    region = make_region(os.path.join(scratch, "region"), authority, BUILD, SANDBOX, SLOW)
    yield region
    region.stop()


@pytest.fixture
def own_pair(scratch, authority):
    """A region of this test alone, whose servers it may kill."""
    folder = tempfile.mkdtemp(prefix="own-", dir=scratch)
    os.chmod(folder, 0o755)
    region = make_region(os.path.join(folder, "region"), authority, BUILD, SANDBOX, SLOW)
    yield region
    region.stop()


class Gateways:
    """Makes gateways and ends them all."""

    def __init__(self, scratch, authority, request):
        self.scratch, self.authority, self.request = scratch, authority, request
        self.made = []

    def __call__(self, pair, start=True, **options):
        folder = os.path.join(self.scratch, f"gateway-{next(counter)}")
        gateway = Gateway(folder, pair, self.authority, BUILD, SANDBOX, SLOW, **options)
        self.made.append(gateway)
        if start:
            gateway.start()
        return gateway

    def finish(self, dies=False):
        alarms = []
        for gateway in self.made:
            try:
                gateway.stop()
            finally:
                gateway.kill()
            if not dies:
                alarms += [line for line in gateway.log().splitlines() if ALARMS.search(line)]
        assert not alarms, "\n".join(alarms[:20])


counter = itertools.count()


@pytest.fixture
def new_gateway(scratch, authority, pair, request):
    """new_gateway(config={…}, policy=function, environment={…}, start=True, region=pair)"""
    pair.primary.rows("DELETE FROM ringfence.log_size")  # each test has a log of its own
    gateways = Gateways(scratch, authority, request)

    def make(region=None, **options):
        return gateways(region or pair, **options)

    yield make
    gateways.finish(dies=request.node.get_closest_marker("crashes") is not None)


@pytest.fixture(scope="module")
def gateway(scratch, authority, pair, request):
    """One gateway for the tests of a module, which leave it as they found it."""
    gateways = Gateways(scratch, authority, request)
    yield gateways(pair)
    gateways.finish()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its gateways' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for name in ("gateway", "new_gateway"):
        fixture = item.funcargs.get(name)
        made = [fixture] if isinstance(fixture, Gateway) else []
        if name == "new_gateway" and fixture is not None:
            made = fixture.__closure__ and [
                cell.cell_contents for cell in fixture.__closure__
                if isinstance(cell.cell_contents, Gateways)]
            made = made[0].made if made else []
        for gateway in made:
            report.sections.append((f"log of {gateway.folder}", gateway.log()[-6000:]))

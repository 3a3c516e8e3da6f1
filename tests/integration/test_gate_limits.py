"""What happens at the edges: rules that change during a login."""

import time

import pytest

from gateway import password_of
from wire import Closed, ServerError


def test_a_login_that_outlasts_a_reload_obeys_the_new_rules(new_gateway):
    """Decided by the old policy, greeted under the new one."""
    gateway = new_gateway(config={"databases": {"us-virginia": {
        "pool": {"mode": "session", "size": 1}}}, "workers": 1})
    with gateway.login("app_us") as holder:
        late = gateway.wire()
        late.send_startup({"user": "app_us", "database": "us-virginia"})
        kind, body = late.receive()
        late.scram(password_of("app_us"), body[4:])
        time.sleep(0.3)  # admitted; waits for the one server connection
        with open(gateway.path("policy.yaml")) as file:
            policy = file.read()
        with open(gateway.path("policy.yaml"), "w") as file:
            file.write(policy.replace("app_us", "app_xx"))
        gateway.reload()
        kind, _ = holder.receive_answer()
        assert kind == "E"
    with pytest.raises((ServerError, Closed)):
        late.authenticate(password_of("app_us"))
        late.query("select 1")
    late.close()

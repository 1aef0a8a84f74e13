"""System calls beyond a profile, on the running product: told by name, killed for, or learned."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from typing import Any

from lab import linux
from support import ProductTest

BASE = 'schema = 1\nextends = ["base"]\ndefault = "{default}"\n'
# dnsmasq's very first sockets are beyond both of these.
SECCOMP = """
[router.galaxy2.seccomp.profiles]
dnsmasq = "deadly.toml"

[router.galaxy3.seccomp]
learn = true
[router.galaxy3.seccomp.profiles]
dnsmasq = "narrow.toml"
"""


class Seccomp(ProductTest):
    @classmethod
    def write_definitions(cls) -> None:
        super().write_definitions()
        directory = cls.product.directory
        for name, default in (("deadly", "kill_process"), ("narrow", "errno:EPERM")):
            file = directory / f"{name}.toml"
            file.write_text(BASE.format(default=default))
            file.chmod(0o600)
        text = (directory / "network0.toml").read_text()
        (directory / "seccomp.toml").write_text(text + SECCOMP)
        (directory / "network0.toml").unlink()

    def setUp(self) -> None:
        self.addCleanup(self.product.destroy_all)
        self.product.must("spawn", "--no-wait", "seccomp.toml")

    def blocked(self, router: str) -> list[dict[str, Any]]:
        file = Path(f"/run/orrery/network0/{router}/log/events")
        events = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [event for event in events if event["event"] == "blocked"]

    def status(self, router: str) -> dict[str, Any]:
        # Any exit code: a router that is not ready is what is being looked at.
        out = self.product.ctl("--json", "status", router).stdout
        state: dict[str, Any] = json.loads(out) if out else {}
        return state

    def becomes_ready(self, router: str) -> None:
        linux.wait_until("ready", lambda: self.status(router).get("phase") == "ready")

    def service(self, router: str, name: str) -> dict[str, Any]:
        services = self.status(router).get("services", [])
        return next((service for service in services if service["name"] == name), {"lastExit": ""})

    def test_a_call_that_is_killed_for_is_named(self) -> None:
        killed = lambda: self.service("galaxy2", "dnsmasq")["lastExit"].startswith("seccomp: socket(AF_")  # noqa: E731
        linux.wait_until("its end", killed, every=0.2)
        told = self.blocked("galaxy2")[0]
        self.assertEqual((told["service"], told["severity"]), ("dnsmasq", "error"))
        self.assertEqual((told["fields"]["call"], told["fields"]["answer"]), ("socket", "killed"))
        self.assertIn("warning: dnsmasq runs under the profile", self.product.ctl("status", "galaxy2").stdout)

    def test_learning_lets_pass_and_proposes(self) -> None:
        self.becomes_ready("galaxy3")
        file = Path("/run/orrery/network0/galaxy3/log/seccomp-dnsmasq.toml")
        linux.wait_until("a proposal", lambda: file.exists() and 'calls = ["bind"]' in file.read_text())
        self.assertEqual({event["fields"]["answer"] for event in self.blocked("galaxy3")}, {"let go"})
        self.assertIn("warning: seccomp learns", self.product.ctl("status", "galaxy3").stdout)
        self.assertIn("let pass", self.product.must("inspect", "galaxy3", "seccomp"))

    def test_nothing_is_refused_to_services_in_their_daily_work(self) -> None:
        for router in ("universe0", "galaxy0", "galaxy1"):
            self.becomes_ready(router)
            self.product.fetch(router, "http://page.lab/")
            self.assertEqual(self.blocked(router), [])


if __name__ == "__main__":
    unittest.main()

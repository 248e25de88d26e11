"""Each line that rowtail-doctor prints for a web server is one that a test has put into that server."""

import importlib
import os
import re
import shlex
import subprocess

import doctor
import rowtail

SERVERS = ("nginx", "apache", "lighttpd", "caddy", "haproxy", "varnish")
# The findings of a fault, where their name is not the fault's.
NAMES = {
    "FRONT_CONTROLLER": {"front-controller", "login", "not-found", "redirect"},
    "SLASH": {"encoded-slash"},
    "LEAVING_LATE": {"leaving"},
}


def cures():
    """{(fault, server)} of the table, without rowtail's own options, which are the same for all servers.

    And without commands that show a log: test_deploy_pages.py runs them.
    """
    compiler = shlex.split(os.environ.get("CC", "cc"))
    command = [*compiler, "-E", f"-I{rowtail.ROOT}/fcgi", rowtail.ROOT / "fcgi/doctor/cure.c"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = set(re.findall(r"\{\s*FAULT_(\w+),\s*SERVER_(\w+),", text))
    return {(fault, server.lower()) for fault, server in found if server != "ROWTAIL" and fault != "DOWN"}


def test_every_cure_has_a_case():
    doctor.need()
    cases = {server: importlib.import_module(f"test_doctor_{server}").CASES for server in SERVERS}
    found = {(case.finding, server) for server, some in cases.items() for case in some}
    table = cures()
    assert {server for _, server in table} == set(SERVERS)
    without = set()
    for fault, server in table:
        names = NAMES.get(fault, {fault.lower().replace("_", "-")})
        if not any((name, server) in found for name in names):
            without.add((fault, server))
    assert not without

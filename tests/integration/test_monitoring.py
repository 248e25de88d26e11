"""What Prometheus says of the metrics and of deploy/monitoring/."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

import ports
import stream

PROJECT = pathlib.Path(__file__).parents[2]
DASHBOARD = PROJECT / "deploy" / "monitoring" / "dashboard.json"
RULES = PROJECT / "deploy" / "monitoring" / "alerts.yml"

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="this release has no promtool")


def promtool(*arguments, stdin=None):
    done = subprocess.run(["promtool", *map(str, arguments)], input=stdin, capture_output=True, check=False, timeout=60)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_metrics_are_accepted_without_a_remark(server, log):
    log.insert("row")
    server.open()
    assert promtool("check", "metrics", stdin=bytes(server.page("metrics").body)) == (0, "")


def test_alert_rules():
    status, said = promtool("check", "rules", RULES)
    assert status == 0 and "6 rules found" in said, said
    status, said = promtool("test", "rules", pathlib.Path(__file__).with_name("alerts.test.yml"))
    assert status == 0, said


def test_alert_rules_use_metrics_that_exist(server, log):
    text = server.page("metrics").body.decode()
    names = set(re.findall(r"\browtail_\w+", RULES.read_text()))
    assert names and [name for name in names if not re.search(rf"(?m)^{name}[ {{]", text)] == []


def expressions():
    """What the dashboard asks Prometheus, with Grafana's variables filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    return [one.replace("$instance", ".*").replace("$__rate_interval", "1m") for one in found]


def test_the_dashboard_shows_metrics_that_exist(server, log):
    text = server.page("metrics").body.decode()
    names = {name for one in expressions() for name in re.findall(r"\browtail_\w+", one)}
    assert len(names) >= 10 and [name for name in names if not re.search(rf"(?m)^{name}[ {{]", text)] == []


@pytest.mark.skipif("not __import__('httpserver').is_built()", reason="built without llhttp")
def test_prometheus_scrapes_a_server(workdir, launch, log):
    """A real Prometheus with the rules; it needs no web server."""
    pages, web = ports.free_port(), ports.free_port()
    server = launch("--pages", f"127.0.0.1:{pages}")
    server.open()
    (workdir / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s}}\nrule_files: [{RULES}]\nscrape_configs:\n"
        f"  - {{job_name: rowtail, static_configs: [{{targets: ['127.0.0.1:{pages}']}}]}}\n"
    )
    with subprocess.Popen(
        ["prometheus", f"--config.file={workdir}/prometheus.yml", f"--storage.tsdb.path={workdir}/tsdb",
         f"--web.listen-address=127.0.0.1:{web}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as prometheus:  # fmt: skip
        try:
            assert wait_value(f"http://127.0.0.1:{web}/api/v1/query?query=rowtail_streams") == "1"
            for one in expressions():
                query = urllib.parse.urlencode({"query": one})
                with urllib.request.urlopen(f"http://127.0.0.1:{web}/api/v1/query?{query}", timeout=5) as answer:
                    assert json.load(answer)["status"] == "success", one
        finally:
            prometheus.kill()


def wait_value(url):
    end = time.monotonic() + stream.DEADLINE
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if found := json.load(answer)["data"]["result"]:
                return found[0]["value"][1]
        time.sleep(0.2)
    return None

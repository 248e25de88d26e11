"""What Prometheus says of the metrics and of deploy/monitoring/."""

import contextlib
import json
import math
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
    assert status == 0 and "7 rules found" in said, said
    status, said = promtool("test", "rules", pathlib.Path(__file__).with_name("alerts.test.yml"))
    assert status == 0, said


def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not():
    tests = pathlib.Path(__file__).with_name("alerts.test.yml").read_text().split("- name: ")[1:]
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert [one.split()[0] for one in tests] == alerts
    for alert, one in zip(alerts, tests, strict=True):
        cases = re.findall(rf"alertname: {alert}(.*?)(?=eval_time|\Z)", one, re.DOTALL)
        assert any("instance: bad" in case for case in cases) and any("exp_labels" not in case for case in cases), alert


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
    log.insert("row")
    text = server.page("metrics").body.decode()
    names = {name for one in expressions() for name in re.findall(r"\browtail_\w+", one)}
    assert len(names) >= 10 and [name for name in names if not re.search(rf"(?m)^{name}[ {{]", text)] == []


class Prometheus:
    """A real one, which scrapes one address with the rules of deploy/."""

    def __init__(self, place, scraped):
        self.url = f"http://127.0.0.1:{ports.free_port()}"
        config = place / "prometheus.yml"
        config.write_text(
            f"global: {{scrape_interval: 250ms, evaluation_interval: 1s}}\nrule_files: [{RULES}]\nscrape_configs:\n"
            f"  - {{job_name: rowtail, scrape_timeout: 250ms, static_configs: [{{targets: ['{scraped}']}}]}}\n"
        )
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={place}/tsdb", f"--web.listen-address={self.url[7:]}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def ask(self, path, **parameters):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=5) as answer:
            return json.load(answer)["data"]

    def values(self, query):
        """The values of a query's series, those that are numbers."""
        found = [float(one["value"][1]) for one in self.ask("query", query=query)["result"]]
        return [value for value in found if not math.isnan(value)]


@pytest.fixture
def prometheus(workdir, launch, log):
    """(a Prometheus, the server that it scrapes); it needs no web server."""
    pages = f"127.0.0.1:{ports.free_port()}"
    server = launch("--pages", pages)
    made = Prometheus(workdir, pages)
    try:
        yield made, server
    finally:
        made.process.kill()
        made.process.wait()


@pytest.mark.skipif("not __import__('httpserver').is_built()", reason="built without llhttp")
def test_every_panel_shows_a_series_of_a_real_prometheus(prometheus, log):
    asked, server = prometheus
    reader = server.open()
    wanted = expressions()
    end = time.monotonic() + stream.DEADLINE
    while wanted and time.monotonic() < end:
        reader.wait_id(log.insert("row"))
        server.open("last_event_id=999999").close()
        with contextlib.suppress(OSError):
            wanted = [one for one in wanted if not asked.values(one)]
        time.sleep(0.1)
    assert wanted == []
    # What happened just now is in the charts, with its reason.
    gaps = asked.ask("query", query="rowtail_gaps_total > 0")["result"]
    assert [one["metric"]["reason"] for one in gaps] == ["future"]
    assert asked.values("rowtail_streams") == [1] and asked.values("rowtail_log_newest_id")[0] > 1
    rules = {rule["name"]: rule for group in asked.ask("rules")["groups"] for rule in group["rules"]}
    assert {rule["health"] for rule in rules.values()} <= {"ok", "unknown"} and asked.ask("alerts")["alerts"] == []

"""rowtail-doctor behind the configurations of deploy/: it finds nothing wrong."""

import pytest

import doctor
from conftest import ORIGIN


def url(site, secure=False, path=""):
    address = site.server.tls_address if secure else site.server.address
    return "%s://%s:%d%s%s" % ("https" if secure else "http", *address, site.deployment.mount, path)


def test_right_configuration_is_fine(site):
    secure = site.server.tls_address in site.server.listens()
    before = site.log.sql("SELECT * FROM events UNION ALL SELECT *, 1, 1, 1 FROM grants")
    report = doctor.examine(url(site, secure), "--db", site.log.path, "--origin", ORIGIN, silence=2)
    assert report.status == 0 and not report.wrong(), report
    assert {"at-once", "unchanged", "open", "query", "post", "path", "cors"} <= set(report.findings)
    # The test rows are gone, and so is the grant for them.
    assert site.log.sql("SELECT * FROM events UNION ALL SELECT *, 1, 1, 1 FROM grants") == before


@pytest.mark.deployments("nginx", "apache", "lighttpd", "caddy", "haproxy")
def test_server_is_named(site, deployment):
    report = doctor.examine(url(site), silence=1)
    names = {"haproxy": "HAProxy", "apache": "Apache/2", "caddy": "Caddy"}
    assert report.json["server"].startswith(names.get(deployment, deployment)), report


@pytest.mark.deployments("nginx", "apache", "lighttpd", "caddy", "haproxy")
def test_answer_while_rowtail_is_down(build, deployment):
    site = build(deployment)
    site.server.start()
    report = doctor.examine(url(site), silence=1)
    assert report.status == 2
    assert report.level("down") == "WRONG" and report.level("down-answer") == "ok", report

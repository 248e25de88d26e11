"""rowtail-doctor behind the configurations of deploy/: it finds nothing wrong."""

import pytest

import doctor
from conftest import ORIGIN
from deployment import DEPLOYMENTS


def url(site, secure=False, path=""):
    address = site.server.tls_address if secure else site.server.address
    return "%s://%s:%d%s%s" % ("https" if secure else "http", *address, site.deployment.mount, path)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_right_configuration_is_fine(site, secure):
    options = ["--db", site.log.path, "--origin", ORIGIN]
    report = doctor.examine(url(site, secure), *options, silence=3)
    assert not report.wrong(), report
    assert report.status == 0

"""Apache's files beyond the stream: logins, missing modules, other ways to run it."""

import pathlib
import re
import socket
import ssl

import pytest

import sites
import stream
import webserver
from apache_sites import (
    CLOSED_STATUSES,
    HTTPS,
    OLD_ACCESS,
    USERS,
    WORDPRESS,
    Around,
    ManySites,
    build_sites,
)
from conftest import Builder
from logins import PASSWORDS, basic, htpasswd


# The login of deploy/access, in sites that are otherwise open.

OPEN = {
    "plain.test": Around(),
    "granting.test": Around('<Location "/">\nRequire all granted\n</Location>'),
    "granting-here.test": Around(htaccess="Require all granted\nSatisfy any\n"),
    "old.test": Around(f"<Directory <root>>\n{OLD_ACCESS}</Directory>"),
    "old-location.test": Around(f'<Location "/">\n{OLD_ACCESS}</Location>'),
    "other-login.test": Around(f'<Location "/">\n{USERS.replace("/users", "/others")}</Location>'),
    "merging.test": Around('<Location "/">\nAuthMerging Or\nRequire all granted\n</Location>'),
    "front.test": Around(htaccess=WORDPRESS, modules="rewrite"),
}


class WithLogin(ManySites):
    sites = OPEN
    edits = {}

    def configure(self, configuration):
        (self.directory / "others").write_text(htpasswd("nobody", ""))
        users = {"/etc/apache2/rowtail.htpasswd": self.directory / "users", **self.edits}
        login = webserver.deployed("access/basic-apache.conf", users)
        super().configure(f"{configuration}\n{login}")


class WithLoginInEachHost(WithLogin):
    everywhere = False


@pytest.mark.deployments("apache", "apache-fcgid")
@pytest.mark.parametrize("kind", [WithLogin, WithLoginInEachHost])
def test_login_of_deploy(deployment, kind):
    with Builder() as build:
        site = build_sites(build, deployment, server=kind).start()
        for name in OPEN:
            visitor = sites.Visitor(site, name)
            wrong = [{}, basic("ann", "wrong"), basic("nobody", "")]
            targets = ["/events", "/events/x", "//events", "/events%2Fx"]
            sites.assert_closed(visitor, targets, wrong, CLOSED_STATUSES)
            ann = basic("ann", PASSWORDS["ann"])
            visitor.follow("/events?channel=secret", headers=ann).close()
            visitor.close()


class OverTls(WithLogin):
    """With the # removed, as the file says."""

    edits = {"#SSLRequireSSL": "SSLRequireSSL"}


@pytest.mark.deployments("apache")
def test_login_of_deploy_over_tls_only(deployment):
    """Over plain HTTP nobody is asked for a password, and a client that sends one gets nothing."""
    with Builder() as build:
        site = build_sites(build, deployment, server=OverTls).start()
        for name in OPEN:
            for headers in {}, basic("ann", PASSWORDS["ann"]):
                answer = sites.Visitor(site, name).page("/events?channel=secret", headers=headers)
                assert answer.head.status == 403 and not answer.head.get("WWW-Authenticate")
        head = over_tls(site, basic("ann", PASSWORDS["ann"]))
        assert head.startswith(b"HTTP/1.1 200 OK")


def over_tls(site, headers):
    """The head of a stream requested by https."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    lines = [f"{name}: {value}" for name, value in {"Host": "localhost", **headers}.items()]
    request = "\r\n".join(["GET /events?channel=secret HTTP/1.1", *lines, "", ""])
    with socket.create_connection(site.server.tls_address, stream.DEADLINE) as plain:
        with context.wrap_socket(plain) as secure:
            secure.sendall(request.encode())
            return secure.recv(1000)


# Rate limits, and ways to run the server.

EVASIVE = list(pathlib.Path("/usr/lib/apache2/modules").glob("mod_evasive*.so"))


@pytest.mark.skipif(not EVASIVE, reason="mod_evasive is not installed")
@pytest.mark.deployments("apache", "apache-cgid")
def test_rate_limited_client_is_told_to_reconnect(build, deployment):
    """429 would end an EventSource for good."""
    kind = webserver.SharedApache if deployment == "apache-cgid" else webserver.Apache
    newer = b"DOSHTTPStatus" in EVASIVE[0].read_bytes()
    status = "DOSEnabled true\nDOSHTTPStatus 429" if newer else "DOSHTTPResponseCode 429"
    count = f"{status}\nDOSPageCount 1\n"
    more = {"around": count, "modules": [*kind.modules, "evasive"]}
    site = build(deployment, server=type("Server", (kind,), more)).start()
    visitor = sites.Visitor(site, "localhost")
    mount = site.deployment.mount
    answers = [visitor.get(mount) for _ in range(30)]
    assert {answer.head.status for answer in answers} == {200}
    for answer in answers:
        answer.wait(lambda a=answer: a.complete or a.eof or a.events, "an event, or the end")
    assert any(answer.parser.reconnection_time == 3000 and not answer.events for answer in answers)
    assert 429 in {visitor.get(mount, accept="*/*").head.status for _ in range(30)}


@pytest.mark.parametrize("mpm", ["prefork", "worker"])
@pytest.mark.deployments("apache", "apache-fcgid", "apache-cgid")
def test_other_ways_to_run_apache(build, deployment, mpm):
    """Prefork is what sites with mod_php have."""
    kind = webserver.SharedApache if deployment == "apache-cgid" else webserver.Apache
    modules = [{"mpm_event": f"mpm_{mpm}", "cgid": "cgi"}.get(one, one) for one in kind.modules]
    modules.remove("http2")  # not with prefork
    site = build(deployment, server=type("Server", (kind,), {"modules": modules}), retry=100).start()
    streams = [site.follow() for _ in range(4)]
    row = site.log.insert("for all")
    assert [opened.next_row().last_event_id for opened in streams] == [str(row)] * 4
    site.server.reload()
    sites.Visitor(site, "localhost").page("/index.html")
    site.hang_up()


class SavingTls(ManySites):
    """A redirect to https in a .htaccess does not apply to /events; the file has lines for that."""

    sites = {
        "front.test": Around(htaccess="RewriteEngine On\n" + HTTPS + WORDPRESS, modules="rewrite"),
    }

    def configure(self, configuration):
        lines = re.search(r"^\t\t#<If .*?^\t\t#</If>$", configuration, re.M | re.S)[0]
        super().configure(configuration.replace(lines, lines.replace("\t\t#", "\t\t")))


@pytest.mark.deployments("apache", "apache-fcgid")
def test_over_tls_only(build, deployment):
    site = build_sites(build, deployment, server=SavingTls).start()
    visitor = sites.Visitor(site, "front.test")
    for target in "/events", "/events/a?tail=1":
        answer = visitor.page(target)
        assert answer.head.status == 301
        assert answer.head.get("Location") == f"https://front.test{target}"
    visitor.follow("/events?channel=silence", headers={"X-Forwarded-Proto": "https"})


# Missing parts.


class CatchAll(ManySites):
    """A virtual host that sends every URL to one program, against the file's advice."""

    sites = {
        "all.test": Around("RewriteEngine On\nRewriteRule ^ /index.php [L]", modules="rewrite"),
        "other.test": Around("RewriteEngine On\nRewriteRule ^ /index.php [L,PT]", modules="rewrite"),
    }


@pytest.mark.parametrize("kind", [CatchAll, type("Each", (CatchAll,), {"everywhere": False})])
@pytest.mark.deployments("apache", "apache-fcgid")
def test_program_files_are_not_served(deployment, kind):
    """No rowtail URL makes Apache send the text of a program that it would otherwise run."""
    with Builder() as build:
        site = build_sites(build, deployment, server=kind)
        for name in kind.sites:
            (site.server.root_of(name) / ".htaccess").write_text(
                '<Files "index.php">\nRequire all denied\n</Files>\n'
            )
        site.server.start()
        for name in kind.sites:
            for target in "/rowtail-down", "/events", "/rowtail/status", "/x":
                page = sites.Visitor(site, name).page(target)
                assert b"the file index.php" not in page.body, page.describe()


class Lacking(webserver.Apache):
    """A server without one of the modules."""

    lacks = ()

    def enable(self, module, enabled):
        if module not in self.lacks:
            super().enable(module, enabled)


@pytest.mark.parametrize("lacks", ["asis", "headers", "env", "dir", "negotiation", "alias"])
@pytest.mark.deployments("apache", "apache-fcgid")
def test_optional_module_is_missing(build, deployment, lacks):
    """The site and the streams work."""
    site = build(deployment, server=type("Server", (Lacking,), {"lacks": (lacks,)})).start()
    visitor = sites.Visitor(site, "localhost")
    assert visitor.page("/index.html").head.status == 200
    visitor.follow("/events/orders/42")


@pytest.mark.deployments("apache", "apache-fcgid")
def test_required_module_is_missing(build, deployment):
    """The site works, /events says what is missing, and an EventSource retries."""
    lacks = {"apache": "proxy_fcgi", "apache-fcgid": "fcgid"}[deployment]
    site = build(deployment, server=type("Server", (Lacking,), {"lacks": (lacks,)})).start()
    visitor = sites.Visitor(site, "localhost")
    assert visitor.page("/index.html").head.status == 200
    answer = visitor.page("/events")
    assert answer.head.status == 503 and f"a2enmod {lacks}" in answer.body.decode()
    sites.assert_asks_again(visitor)

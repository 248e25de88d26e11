"""deploy/access through the real web servers: who gets in, who does not, and for how long."""

import json
import pathlib
import subprocess
import time
from urllib.parse import urlencode

import pytest

import httpc
import webserver
from conftest import directory
from deployment import wait_until
from logins import PASSWORDS, basic, htpasswd, with_file, with_login

KEY = "0123456789abcdef0123456789abcdef"
LOGINS = ("apache", "nginx")  # login.py as a CGI program, login.php by php-fpm
ASK_FOR_A_LOGIN = (
    "apache", "apache-fcgid", "lighttpd", "lighttpd-cgi", "nginx", "nginx-fcgiwrap", "caddy",
    "haproxy",
)
PROMISED = 10.0  # seconds from a DELETE to the end; rowtail(8), ACCESS
SLACK = 3.0  # for a busy machine


@pytest.fixture
def place():
    """A directory for keys, accounts and programs, readable for the web server's user."""
    with directory() as path:
        yield path


# The application's login.


class Login:
    """A site with one application's login, for ann and bob, who may both read orders."""

    def __init__(self, build, place, name, **settings):
        self.place = place
        self.fpm = None
        self.suffix = {"apache": "py", "nginx": "php"}[name]
        self.program = place / f"login.{self.suffix}"
        key = place / "jwt.key"
        key.write_text(KEY)
        self.accounts = place / "accounts"
        paths = {"/etc/rowtail-jwt.key": key, "/etc/rowtail-accounts": self.accounts}
        self.program.write_text(webserver.deployed(f"access/login.{self.suffix}", paths))
        self.program.chmod(0o755)
        self.accounts.write_text("".join(self.account(*pair) for pair in PASSWORDS.items()))
        server = with_file(name, f"login-{name}.conf", self.replacements(settings))
        self.site = build(name, public=None, jwt_key=key, jwt_algorithm="HS256", server=server)
        for user in PASSWORDS:
            self.site.log.grant(f"user:{user}", "orders")

    def replacements(self, settings):
        """The program's path, and the commented lines of the deployed file."""
        found = {f"/usr/local/lib/rowtail/login.{self.suffix}": self.program}
        if self.suffix == "php":
            found["/run/php/php-fpm.sock"] = self.place / "php.sock"
        for setting, (default, value) in settings.items():
            line = f"{'SetEnv' if self.suffix == 'py' else 'fastcgi_param'} {setting} "
            found[f"#{line}{default}"] = f"{line}{value}"
        return found

    def account(self, user, password):
        if self.suffix == "php":
            return htpasswd(user, password).strip() + "\n"
        return subprocess.run(
            [self.program, user],
            input=f"{password}\n",
            capture_output=True,
            check=True,
            text=True,
            start_new_session=True,
        ).stdout

    def start(self):
        if self.suffix == "php":
            self.start_php()
        self.site.start()
        return self

    def start_php(self):
        socket = self.place / "php.sock"
        who = f"user = {webserver.USER}\nlisten.owner = {webserver.USER}\n"
        pool = self.place / "fpm.conf"
        pool.write_text(
            f"[global]\nerror_log = {self.place}/fpm.log\n[login]\nlisten = {socket}\n"
            f"{who if webserver.AS_ROOT else ''}pm = static\npm.max_children = 2\n"
        )
        binary = sorted(pathlib.Path("/usr/sbin").glob("php-fpm*"))[-1]
        self.fpm = webserver.start([binary, "-F", "-y", pool], self.place / "fpm.out")
        wait_until(socket.exists, "socket of php-fpm", (self.place / "fpm.out").read_text)

    def stop(self):
        webserver.end(self.fpm)

    def post(self, cookies=None, headers=None, method="POST", **form):
        """Sends a login request; returns the answer with a dictionary of its cookies."""
        fields = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        if cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        address, body = self.site.server.address, urlencode(form).encode()
        with httpc.open_request(
            address, "/login", method=method, headers=fields, accept="*/*", body=body
        ) as answer:
            answer.wait(lambda: answer.complete or answer.eof, "end of the answer")
        lines = [value for name, value in answer.head.fields if name.lower() == "set-cookie"]
        answer.cookies = dict(line.partition(";")[0].split("=", 1) for line in lines)
        answer.cookie_lines = lines
        return answer

    def log_in(self, user):
        """The cookies after a login with the right password."""
        answer = self.post(user=user, password=PASSWORDS[user])
        assert answer.head.status == 200, f"{answer.describe()} {self.site.server.log()}"
        return answer.cookies

    def open(self, token, query="channel=orders", **how):
        """The stream of an EventSource with this cookie."""
        headers = {"Cookie": f"theme=dark; rowtail_token={token}"}
        return self.site.open(query, headers=headers, **how).wait_head()

    def follow(self, token):
        opened = self.open(token)
        assert opened.head.status == 200, opened.describe()
        assert opened.next().type == "position"
        return opened


@pytest.fixture
def login(build, place, deployment):
    """login(LOGIN_SECONDS=(600, 3)): a running site with its login and a changed setting."""
    running = []

    def start(**settings):
        running.append(Login(build, place, deployment, **settings))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()


def last_word(response):
    """The reason in a stream's last record."""
    response.wait(lambda: response.complete, "end of the stream", PROMISED + SLACK)
    assert response.events[-1].type == "denied", response.describe()
    return json.loads(response.events[-1].data)["reason"]


@pytest.mark.deployments(*LOGINS)
def test_cookie_is_accepted_and_http_only(login):
    here = login()
    answer = here.post(user="ann", password=PASSWORDS["ann"])
    assert json.loads(answer.body) == {"user": "ann", "seconds": 600}
    for line in answer.cookie_lines:
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        path = "/events" if line.startswith("rowtail_token=") else "/login"
        assert {"secure", "httponly", "samesite=strict", f"path={path}"} <= attributes
    peer = here.follow(answer.cookies["rowtail_token"])
    here.site.log.insert("for ann", channel="orders")
    assert peer.next_row().data == "for ann"
    assert here.open(answer.cookies["rowtail_token"], "channel=other").head.status == 403
    assert here.site.open("channel=orders").wait_head().head.status == 401


@pytest.mark.deployments(*LOGINS)
@pytest.mark.parametrize(
    "user, password",
    [("ann", "wrong"), ("ann", ""), ("ann", PASSWORDS["bob"]), ("cem", "b"), ("", "")],
)
def test_wrong_password_gets_no_cookie(login, user, password):
    answer = login().post(user=user, password=password)
    assert answer.head.status == 401
    assert not answer.cookies


@pytest.mark.deployments(*LOGINS)
def test_token_expires_and_is_renewed(login):
    """The stream says why it ends; the next one, with the renewed cookie, misses nothing."""
    here = login(LOGIN_SECONDS=("600", "3"))
    cookies = here.log_in("ann")
    peer = here.follow(cookies["rowtail_token"])
    here.site.log.insert("before", channel="orders")
    assert peer.next_row().data == "before"
    assert last_word(peer) == "expired"
    assert here.open(cookies["rowtail_token"]).head.status == 401
    here.site.log.insert("between", channel="orders")
    renewed = here.post(cookies={"login": cookies["login"]})
    assert renewed.head.status == 200
    again = here.open(renewed.cookies["rowtail_token"], last_event_id=peer.parser.last_event_id)
    assert [row.data for row in again.wait_rows(1)] == ["between"]


@pytest.mark.deployments(*LOGINS)
def test_renewal_requires_a_login(login):
    here = login()
    cookies = here.log_in("ann")
    name, _, signature = cookies["login"].partition(".")
    bobs = name.replace(b"ann".hex(), b"bob".hex())
    assert bobs != name
    for forged in "", "x", f"{bobs}.{signature}", f"{name}.", cookies["rowtail_token"]:
        answer = here.post(cookies={"login": forged, "rowtail_token": cookies["rowtail_token"]})
        assert (answer.head.status, answer.cookies) == (401, {}), forged
    # Cookies of other programs that Python's parser refuses or stops at change nothing.
    for odd in {"a(b": "1"}, {"c[d]": "1"}, {"e": '"\\'}, {"f": "é"}:
        assert here.post(cookies={**odd, "login": cookies["login"]}).head.status == 200, odd
        assert here.post(cookies=odd).head.status == 401, odd
    # The login cookie is not accepted as a token.
    assert here.open(cookies["login"]).head.status == 401
    kept = [line for line in here.accounts.read_text().splitlines(True) if line.startswith("bob")]
    here.accounts.write_text("".join(kept))
    assert here.post(cookies={"login": cookies["login"]}).head.status == 401


@pytest.mark.deployments(*LOGINS)
def test_pages_of_other_origins(login):
    here = login(LOGIN_ORIGIN=("https://app.example.org", "https://app.example.net"))
    ann = {"user": "ann", "password": PASSWORDS["ann"]}
    friend = here.post(headers={"Origin": "https://app.example.net"}, **ann)
    assert friend.head.status == 200 and friend.cookies
    assert friend.head.get("Access-Control-Allow-Origin") == "https://app.example.net"
    assert friend.head.get("Access-Control-Allow-Credentials") == "true"
    for origin in "https://stranger.example", "null":
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        # A refusal also arrives if nobody needed the body.
        for more in {}, {"more": "x" * 200000}:
            stranger = here.post(headers=headers, **ann, **more)
            assert (stranger.head.status, stranger.cookies) == (403, {})
            assert stranger.head.get("Access-Control-Allow-Origin") is None
    own = here.post(headers={"Origin": "https://a.example", "Sec-Fetch-Site": "same-origin"}, **ann)
    assert own.head.status == 200
    assert here.post(method="PUT", **ann).head.status == 405


@pytest.mark.deployments(*LOGINS)
def test_one_delete_ends_the_streams_of_one_user(login):
    here = login()
    anns, bobs = (here.log_in(user)["rowtail_token"] for user in ("ann", "bob"))
    ended = [here.follow(anns) for _ in range(3)]
    bob = here.follow(bobs)
    revoke(here.site.log)
    began = time.monotonic()
    assert [last_word(peer) for peer in ended] == ["revoked"] * 3
    assert time.monotonic() - began < PROMISED + SLACK
    assert here.open(anns).head.status == 403
    here.site.log.insert("for bob", channel="orders")
    assert bob.next_row().data == "for bob"


def revoke(log):
    """Revokes as its first line says."""
    script = (webserver.DEPLOY / "access/revoke.sql").read_text()
    subprocess.run(["sqlite3", log.path], input=script, text=True, check=True)


# The web server's login.


@pytest.fixture
def guarded(build, place, deployment):
    """A site whose web server has a password login for ann, who may read, and bob, who may not."""
    site = build(deployment, public=None, server=with_login(deployment, place)).start()
    site.log.grant("user:ann", "default")
    return site


def status(site, headers=None):
    """The status of an answer on which a browser's EventSource gives up for good."""
    response = site.open(headers=headers).wait_head()
    if response.head.status == 401:
        assert response.head.get("WWW-Authenticate").startswith("Basic "), response.head.raw
    return response.head.status


@pytest.mark.deployments(*ASK_FOR_A_LOGIN)
def test_login_of_the_web_server(guarded):
    assert status(guarded) == 401
    assert status(guarded, basic("bob", PASSWORDS["bob"])) == 403
    ann = guarded.follow(headers=basic("ann", PASSWORDS["ann"]))
    wrong = guarded.open(headers=basic("ann", "wrong")).wait_head()
    guarded.log.insert("for ann")
    assert ann.next_row().data == "for ann"
    wrong.rest(0.5)
    assert not wrong.events, wrong.describe()


@pytest.mark.deployments("apache", "lighttpd", "nginx", "caddy", "haproxy")
def test_rowtail_is_down_behind_a_login(guarded):
    """Clients with a login are told to reconnect; others are asked for it as usual."""
    guarded.rowtail.kill()
    ann = guarded.open(headers=basic("ann", PASSWORDS["ann"])).wait_head()
    ann.wait(lambda: ann.complete or ann.eof, "end of the answer")
    assert (ann.head.status, ann.parser.reconnection_time) == (200, 3000), ann.describe()
    assert status(guarded) == 401


@pytest.mark.deployments("apache", "lighttpd", "nginx", "caddy", "haproxy")
def test_one_delete_ends_the_stream_of_a_login(guarded):
    peer = guarded.follow(headers=basic("ann", PASSWORDS["ann"]))
    revoke(guarded.log)
    assert last_word(peer) == "revoked"
    assert status(guarded, basic("ann", PASSWORDS["ann"])) == 403


def test_unverified_user_name_is_ignored(build, deployment):
    """No server asks for a login here: a name with any password must not count as that user."""
    site = build(deployment, public=None).start()
    site.log.grant("user:ann", "default")
    assert site.open(headers=basic("ann", "a guess")).wait_head().head.status == 401

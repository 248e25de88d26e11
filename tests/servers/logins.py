"""The files of deploy/access beside a deployment: logins that the web server asks for."""

import base64
import re
import subprocess

import webserver
from deployment import DEPLOYMENTS

PASSWORDS = {"ann": "Grüße & +ße", "bob": "b"}


def with_file(name, file, replacements):
    """The server of a deployment, with one more file of deploy/access after rowtail's own."""

    class WithFile(DEPLOYMENTS[name].server):
        def configure(self, configuration):
            more = webserver.deployed(f"access/{file}", replacements)
            if isinstance(self, webserver.Caddy):
                (self.directory / "access.conf").write_text(more)
                self.around = f"import {self.directory}/access.conf"
                return super().configure(configuration)
            super().configure(f"{configuration}\n{more}")
            for module in re.findall(r"^#\s+lighty-enable-mod (\w+) ", more, re.M):
                (enabled,) = self.etc.glob(f"conf-available/*-{module}.conf")
                (self.root / "conf-enabled" / enabled.name).symlink_to(enabled)

    return WithFile


def basic(user, password):
    """The header that a browser sends after somebody has typed name and password."""
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def htpasswd(user, password):
    command = ["htpasswd", "-niB", user]
    return subprocess.run(command, input=password, text=True, capture_output=True, check=True).stdout


def crypt(password):
    """A password hash of crypt(3), by SHA-256."""
    command = ["openssl", "passwd", "-5", "-stdin"]
    done = subprocess.run(command, input=password, text=True, capture_output=True, check=True)
    return done.stdout.strip()


class HAProxyLogin(webserver.HAProxy):
    """HAProxy with the login lines, which are comments in the file, enabled, and with these users."""

    def configure(self, configuration):
        for line in "http-request auth ", "http-request set-var(txn.rowtail_user) ", "userlist ":
            assert configuration.count(f"#{line}") == 1, line
            configuration = configuration.replace(f"#{line}", line)
        users = [f"\tuser {user} password {crypt(word)}" for user, word in PASSWORDS.items()]
        example = re.compile("(?m)^#\tuser ann .*$")
        assert len(example.findall(configuration)) == 1
        configuration = example.sub(lambda _: "\n".join(users), configuration)
        super().configure(configuration)


def bcrypt(user):
    """Only the hash of a user's password."""
    return htpasswd(user, PASSWORDS[user]).strip().partition(":")[2]


def with_login(name, place, edits=None):
    """The server of a deployment with a password login for ann and bob, kept in `place`.

    edits: further replacements in the file of deploy/access
    """
    kind = name.partition("-")[0]
    if kind == "haproxy":
        return HAProxyLogin
    users = place / "htpasswd"
    if kind == "caddy":
        users.write_text("".join(f"{user} {bcrypt(user)}\n" for user in PASSWORDS))
        return with_file(name, "basic-caddy.conf", {"/etc/caddy/rowtail.users": users})
    users.write_text("".join(htpasswd(*pair) for pair in PASSWORDS.items()))
    replacements = {f"/etc/{kind.replace('apache', 'apache2')}/rowtail.htpasswd": users, **(edits or {})}
    server = with_file(name, f"basic-{kind}.conf", replacements)
    if kind == "lighttpd":
        # It answers a wrong password after a second, which takes long if many are tried.
        server.around = 'server.feature-flags += ( "auth.delay-invalid-creds" => "disable" )'
    return server

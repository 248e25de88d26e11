#!/usr/bin/python3
"""A login for a stream. It takes a name and password and sets a cookie that rowtail accepts for ten minutes.

POST user and password. The answer is 200 with two cookies. `rowtail_token` is a JWT for /events: rowtail
verifies it with the same key, and the table grants says what user:NAME may read. `login` is for this program
only: for twelve hours, a POST without a body renews the token, as long as the name is among the accounts.

This is a CGI program (login-apache.conf), or `application` for any WSGI server. It needs only Python's own
libraries.

    openssl rand -hex 32 | tr -d '\\n' > /etc/rowtail-jwt.key     (rowtail.conf: jwt-key, jwt-algorithm)
    ./login.py ann >> /etc/rowtail-accounts                      asks for ann's password

The web server's user must be able to read both files, and rowtail's user the key. Nobody else may.
"""

import base64
import getpass
import hashlib
import hmac
import json
import os
import re
import sys
import time
from urllib.parse import parse_qs
from wsgiref.handlers import CGIHandler

KEY = os.environ.get("LOGIN_KEY", "/etc/rowtail-jwt.key")
ACCOUNTS = os.environ.get("LOGIN_ACCOUNTS", "/etc/rowtail-accounts")
ORIGIN = os.environ.get("LOGIN_ORIGIN", "")  # a page of another origin that may log in here
TOKEN_SECONDS = int(os.environ.get("LOGIN_SECONDS", "600"))
SESSION_SECONDS = 12 * 3600
BODY_MAX = 4096


def application(environ, start_response):
    """The WSGI application."""
    origin = environ.get("HTTP_ORIGIN", "")
    status, fields, body = answer(environ, origin)
    if origin and origin == ORIGIN:
        fields += [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
        ]
    fields += [("Cache-Control", "no-store"), ("Vary", "Origin")]
    start_response(status, fields)
    return [body.encode()]


def read_body(environ):
    """The first BODY_MAX bytes. Reads the rest, too: Apache loses the answer of a CGI program that ends before."""
    left, kept = int(environ.get("CONTENT_LENGTH") or 0), b""
    while left > 0 and (part := environ["wsgi.input"].read(min(left, 65536))):
        left -= len(part)
        kept = (kept + part)[:BODY_MAX]
    return kept


def answer(environ, origin):
    sent = read_body(environ)
    plain = [("Content-Type", "text/plain; charset=utf-8")]
    if environ["REQUEST_METHOD"] != "POST":
        return "405 Method Not Allowed", [*plain, ("Allow", "POST")], "POST user and password.\n"
    # A foreign page must not log its visitor in as somebody else.
    if origin not in ("", ORIGIN) and environ.get("HTTP_SEC_FETCH_SITE") != "same-origin":
        return "403 Forbidden", plain, "This page may not log in here.\n"
    form = parse_qs(sent.decode("utf-8", "replace"))
    user, password = (form.get(name, [""])[0] for name in ("user", "password"))
    if not user:
        user = session_user(environ.get("HTTP_COOKIE", ""))
        if user not in accounts():
            return "401 Unauthorized", plain, "Log in.\n"
        cookies = []
    elif password_is_right(user, password):
        cookies = [cookie("login", session(user), "/login", SESSION_SECONDS)]
    else:
        return "401 Unauthorized", plain, "Wrong name or password.\n"
    cookies.append(cookie("rowtail_token", jwt(user), "/events", TOKEN_SECONDS))
    body = json.dumps({"user": user, "seconds": TOKEN_SECONDS})
    return "200 OK", [("Content-Type", "application/json"), *cookies], body


def cookie(name, value, path, seconds):
    # Strict works for pages of another origin of the same site (app.example.org and
    # events.example.org). Another site needs None, which browsers may refuse.
    rest = f"Path={path}; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict"
    return "Set-Cookie", f"{name}={value}; {rest}"


# Signing.


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(text):
    with open(KEY, "rb") as file:
        digest = hmac.new(file.read(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64url(digest)}"


def jwt(user):
    """There is no claim `channels`, so only the table grants decides, and one DELETE ends all access."""
    now = int(time.time())
    parts = {"alg": "HS256", "typ": "JWT"}, {"sub": user, "iat": now, "exp": now + TOKEN_SECONDS}
    return signed(".".join(base64url(json.dumps(part).encode()) for part in parts))


def session(user):
    """Begins in a way that no JWT can, so neither can be used as the other."""
    return signed(f"session-{user.encode().hex()}-{int(time.time()) + SESSION_SECONDS}")


def session_user(cookies):
    """Returns the user of the `login` cookie, or None."""
    # http.cookies does not work here: one odd cookie of another program makes it ignore all of them.
    for part in cookies.split(";"):
        name, _, value = part.strip().partition("=")
        text = value.partition(".")[0]
        parts = re.fullmatch(r"session-((?:[0-9a-f]{2})+)-([0-9]{1,15})", text, re.ASCII)
        if name != "login" or not parts:
            continue
        good = hmac.compare_digest(signed(text).encode(), value.encode("utf-8", "replace"))
        if good and int(parts[2]) > time.time():
            return bytes.fromhex(parts[1]).decode()
    return None


# Accounts: one line each, NAME:SALT$HASH.


def accounts():
    with open(ACCOUNTS, encoding="utf-8") as file:
        return dict(line.strip().split(":", 1) for line in file if ":" in line)


def scrypt(password, salt):
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()


def password_is_right(user, password):
    """Takes the same time for a name that does not exist."""
    salt, _, expected = accounts().get(user, "00$").partition("$")
    return hmac.compare_digest(scrypt(password, bytes.fromhex(salt)), expected)


def main():
    if "GATEWAY_INTERFACE" in os.environ:
        CGIHandler().run(application)
    elif len(sys.argv) == 2 and re.fullmatch(r"[^:\s]+", sys.argv[1]):
        salt = os.urandom(16)
        print(f"{sys.argv[1]}:{salt.hex()}${scrypt(getpass.getpass(), salt)}")
    else:
        sys.exit("usage: login.py NAME >> accounts")


if __name__ == "__main__":
    main()

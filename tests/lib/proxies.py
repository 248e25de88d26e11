"""Debian's servers as a second proxy, in front of rowtail's web server.

One proxy serves several inner servers, each at its own port. It reads Debian's own main configuration, and
for each inner server a text: a file of deploy/proxy with that server's address, or `plain`, what somebody
writes without reading rowtail's documentation.
"""

import re
import shutil

import ports
import webserver

INNER = "127.0.0.1:8080"  # the address in the files of deploy/proxy


class Proxied:
    """The common part of all proxies; the other base is the server's class.

    inner       {name: address of an inner server}
    addresses   {name: where the proxy serves it}
    secure      the same over TLS with HTTP/2; not by Varnish
    file        the file of deploy/proxy
    plain       the same for forwarding the whole site
    everywhere  further lines for the whole proxy, in its own language
    """

    everywhere = ""

    def __init__(self, directory, inner, *, plain=False):
        self.inner = inner
        self.addresses = {name: ("127.0.0.1", ports.free_port()) for name in inner}
        self.secure = {name: ("127.0.0.1", ports.free_port()) for name in inner}
        text = self.plain if plain else (webserver.DEPLOY / "proxy" / self.file).read_text()
        assert INNER in text
        share = directory / "share"
        share.mkdir()
        shutil.copy(webserver.DEPLOY / "rowtail-down.asis", share)
        text = text.replace("/usr/local/share/rowtail", str(share))
        self.texts = {
            name: text.replace(INNER, "%s:%d" % address) for name, address in inner.items()
        }
        super().__init__(directory, text)

    def listens(self):
        secure = [] if isinstance(self, webserver.Varnish) else self.secure.values()
        return [*super().listens(), *self.addresses.values(), *secure]


class Nginx(Proxied, webserver.Nginx):
    file = "nginx.conf"
    plain = f"location / {{ proxy_pass http://{INNER}; }}"

    def site(self):
        def server(name):
            return f"""
server {{
	listen 127.0.0.1:{self.addresses[name][1]};
	listen 127.0.0.1:{self.secure[name][1]} ssl http2;
	ssl_certificate {self.certificate};
	ssl_certificate_key {self.key};
	{self.around}
	{self.texts[name]}
}}
"""

        return super().site().replace("\tinclude snippets/rowtail.conf;\n", "") + "".join(
            [self.everywhere, *map(server, self.inner)]
        )


class Apache(Proxied, webserver.Apache):
    file = "apache.conf"
    plain = f'ProxyPass "/" "http://{INNER}/"\nProxyPassReverse "/" "http://{INNER}/"\n'
    below = ""  # as around, but after our lines
    modules = [*webserver.Apache.modules, "proxy_http"]

    def configure(self, configuration):
        super().configure("\n".join(re.findall(r"(?m)^#\s+a2enmod .*$", configuration)))

    def site(self):
        return super().site() + "".join([self.everywhere, *map(self.server, self.inner)])

    def server(self, name):
        plain, secure = self.addresses[name][1], self.secure[name][1]
        lines = f"{self.around}\n{self.texts[name]}\n{self.below}\n"
        return f"""
Listen 127.0.0.1:{plain}
Listen 127.0.0.1:{secure}
<VirtualHost 127.0.0.1:{plain}>
	{lines}
</VirtualHost>
<VirtualHost 127.0.0.1:{secure}>
	SSLEngine on
	SSLCertificateFile "{self.certificate}"
	SSLCertificateKeyFile "{self.key}"
	{lines}
</VirtualHost>
"""


class HAProxy(Proxied, webserver.HAProxy):
    file = "haproxy.cfg"
    plain = f"backend site\n\tserver inner {INNER}\n"

    def site(self, configuration):
        def server(name):
            text = re.sub(r"(?m)^backend (\w+)$", rf"backend \1-{name}", self.texts[name])
            lines = re.findall(r"(?m)^#(\s+use_backend \w+)(.*)$", text)
            used = "\n".join(f"{use}-{name}{rule}" for use, rule in lines)
            used = used or f"\tdefault_backend site-{name}"
            return f"""
frontend site-{name}
	bind 127.0.0.1:{self.addresses[name][1]}
	bind 127.0.0.1:{self.secure[name][1]} ssl crt {self.directory}/site.pem alpn h2,http/1.1
{self.around}
{used}
{text}
"""

        return super().site("") + "".join([self.everywhere, *map(server, self.inner)])


class Varnish(Proxied, webserver.Varnish):
    file = "varnish.vcl"
    plain = f"# {INNER}"

    def configure(self, configuration):
        self.vcl = self.directory / "default.vcl"
        backends = "".join(
            f'backend {_word(name)} {{ .host = "{host}"; .port = "{port}"; }}\n'
            for name, (host, port) in self.inner.items()
        )
        choice = "".join(
            f'if (local.socket == "{name}") {{ set req.backend_hint = {_word(name)}; }}\n'
            for name in self.inner
        )
        (self.directory / "rowtail.vcl").write_text(configuration)
        self.vcl.write_text(
            f'vcl 4.1;\nbackend default {{ .host = "127.0.0.1"; .port = "1"; }}\n{backends}\n'
            f'sub vcl_recv {{\n{choice}}}\ninclude "{self.directory}/rowtail.vcl";\n{self.around}\n'
        )

    def command(self):
        listen = [f"-a{name}={host}:{port}" for name, (host, port) in self.addresses.items()]
        return [*super().command(), *listen]


def _word(name):
    return name.replace("-", "_")


PROXIES = {"nginx": Nginx, "apache": Apache, "haproxy": HAProxy, "varnish": Varnish}

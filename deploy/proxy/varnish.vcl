# Varnish in front of the web server that rowtail is behind, which is the backend of the site: Debian's
# default.vcl has 127.0.0.1:8080.
#
#   cp varnish.vcl /etc/varnish/rowtail.vcl
#
# and in /etc/varnish/default.vcl, before the first `sub`:
#
#   include "/etc/varnish/rowtail.vcl";

sub vcl_recv {
	if (req.url ~ "^/events([/?]|$)") {
		# The client's address, and nothing of what the client itself says of it. inner-*.conf has what
		# the inner server needs to believe it.
		set req.http.X-Forwarded-For = client.ip;
		# A pipe keeps nothing: not for other clients, and not for one that has stopped reading, for
		# whom `pass` would take all that comes into memory. While the inner server is down Varnish
		# closes the connection, at which an EventSource asks again.
		return (pipe);
	}
}

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

# What Varnish cannot pipe, as a stream over HTTP/2, it passes, and then it answers itself while the inner
# server is down. A 503 would end an EventSource for ever; this answer makes it ask again in 3 seconds.
sub vcl_backend_error {
	if (bereq.url ~ "^/events([/?]|$)" && bereq.http.Accept ~ "text/event-stream") {
		set beresp.status = 200;
		set beresp.http.Content-Type = "text/event-stream";
		set beresp.http.Cache-Control = "no-cache, no-transform";
		# The answer says nothing but "ask again", so a page of any origin may read it.
		if (bereq.http.Origin) {
			set beresp.http.Access-Control-Allow-Origin = bereq.http.Origin;
			set beresp.http.Access-Control-Allow-Credentials = "true";
			set beresp.http.Vary = "Origin";
		}
		synthetic("retry: 3000" + {"
: rowtail is down; ask again in three seconds
"});
		return (deliver);
	}
}

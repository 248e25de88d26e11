# Varnish in front of the web server that rowtail is behind. That server is the backend of the site:
# 127.0.0.1:8080 in Debian's default.vcl. If rowtail serves /events itself (rowtail --http), beside the server of
# the rest of the site, remove the # from the lines that name rowtail's own backend.
#
#   cp varnish.vcl /etc/varnish/rowtail.vcl
#
# In /etc/varnish/default.vcl, before the first `sub`, add:
#
#   include "/etc/varnish/rowtail.vcl";

#backend rowtail { .host = "127.0.0.1"; .port = "8080"; }
# For rowtail at a unix socket (--http /run/rowtail/http.sock), instead. The group varnish must be able to connect:
#backend rowtail { .path = "/run/rowtail/http.sock"; }

sub vcl_recv {
	if (req.url ~ "^/events([/?]|$)") {
		# The client's address as Varnish sees it, never one that the client sends. inner-*.conf, or
		# --trusted-proxy of rowtail, makes the inner server trust it.
		set req.http.X-Forwarded-For = client.ip;
		#set req.backend_hint = rowtail;
		# A pipe stores nothing. `pass` would keep everything in memory for a client that has stopped
		# reading. While the inner server is down, Varnish closes the connection, and an EventSource
		# reconnects.
		return (pipe);
	}
}

# Varnish cannot pipe a stream over HTTP/2. It passes it, and answers itself while the inner server is down.
# After a 503 an EventSource never reconnects; after this answer it reconnects in 3 seconds.
sub vcl_backend_error {
	if (bereq.url ~ "^/events([/?]|$)" && bereq.http.Accept ~ "text/event-stream") {
		set beresp.status = 200;
		set beresp.http.Content-Type = "text/event-stream";
		set beresp.http.Cache-Control = "no-cache, no-transform";
		# The answer only says when to reconnect, so a page of any origin may read it.
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

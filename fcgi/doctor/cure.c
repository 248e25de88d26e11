#include "doctor/cure.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Where things go. deploy/ names the same files. */
#define NGINX "/etc/nginx/snippets/rowtail.conf, or the site's file in /etc/nginx/sites-enabled"
#define IN_LOCATION "in the location that serves @ (location ^~ @/ { … })"
#define IN_PARAMETERS IN_LOCATION " with fastcgi_pass, as the first of its parameters"
#define APACHE "/etc/apache2/conf-available/rowtail.conf, or the site's <VirtualHost>"
#define AT_END "at the end"
#define LIGHTTPD "the last file of /etc/lighttpd/conf-enabled"
#define CADDY "/etc/caddy/Caddyfile"
#define CADDY_TEMPLATES                                                                            \
	"in the site's block, in place of templates without a matcher",                            \
		"@pages not path @ @/*\ntemplates @pages"
#define IN_PROXY "in the reverse_proxy { … } of @"
#define HAPROXY "/etc/haproxy/haproxy.cfg"
#define IN_BACKEND "in the backend that serves @"
#define IN_FRONTEND "in the frontend, before its other http-request lines"
#define VARNISH "/etc/varnish/default.vcl"
#define IN_RECV "before the first other sub vcl_recv"
#define SHELL "a shell"
#define IF_MISSING "if it is missing, "
#define ROWTAIL "/etc/rowtail.conf"
/* Where make install puts the answers while rowtail is down; the Makefile says it. */
#ifndef ROWTAIL_DATADIR
#define ROWTAIL_DATADIR "/usr/local/share/rowtail"
#endif
#define PIPE "sub vcl_recv { if (req.url ~ \"^@([/?]|$)\") { return (pipe); } }"
/*
 * Not spelled as in deploy/lighttpd: lighttpd merges equal conditions, and allows a setting once.
 */
#define URL_IS "$HTTP[\"url\"] =~ \"^@($|/)\" { "
#define APACHE_HERE "<LocationMatch \"^@(/|\\z)\">\n\t<If \"true\">\n\t\t"
#define APACHE_END "\n\t</If>\n</LocationMatch>"
#define RETRY "retry: 3000\\n: rowtail is down; ask again in three seconds\\n"

#define HAPROXY_DOWN(status)                                                                       \
	"http-error status " status " content-type text/event-stream string \"" RETRY              \
	"\" hdr Cache-Control \"no-cache, no-transform\"\n"

/* Rows of one shape. */
#define SAID(server, lines)                                                                        \
	{                                                                                          \
		FAULT_DOWN, server, SHELL,                                                         \
			"as root, for the reason (Permission denied: the socket has another "      \
			"group, see SocketGroup= of rowtail.socket)",                              \
			lines                                                                      \
	}
#define PIPED(fault)                                                                               \
	{                                                                                          \
		fault, SERVER_VARNISH, VARNISH, IN_RECV, PIPE                                      \
	}
#define FLUSHED(fault)                                                                             \
	{                                                                                          \
		fault, SERVER_APACHE, APACHE,                                                      \
			AT_END " (the name after the | of your SetHandler or ProxyPass)",          \
			"<IfModule mod_proxy.c>\n\t<Proxy \"fcgi://rowtail\">\n\t\tProxySet "      \
			"flushpackets=on timeout=300\n\t</Proxy>\n</IfModule>"                     \
	}
#define NGINX_PASSES(fault, parameter, header, variable)                                           \
	{fault, SERVER_NGINX, NGINX, IN_PARAMETERS, "fastcgi_param " parameter " " variable ";"},  \
	{                                                                                          \
		fault, SERVER_NGINX, NGINX, IN_LOCATION " with proxy_pass",                        \
			"proxy_set_header " header " " variable ";"                                \
	}
#define LIGHTTPD_THERE(fault, settings)                                                            \
	{                                                                                          \
		fault, SERVER_LIGHTTPD, LIGHTTPD, AT_END, URL_IS settings                          \
	}
#define CADDY_EXCEPT(fault, place)                                                                 \
	{                                                                                          \
		fault, SERVER_CADDY, CADDY, place, "not path @ @/*"                                \
	}
#define REPEATED(server, file, line)                                                               \
	{                                                                                          \
		FAULT_CORS_TWICE, server, file,                                                    \
			"delete every line of this kind that applies to @", line                   \
	}

static const struct cure cures[] = {
	/* A stream that is held back. */
	{FAULT_BUFFERED, SERVER_NGINX, NGINX, IN_LOCATION,
		"fastcgi_buffering off;\nproxy_buffering off;"},
	FLUSHED(FAULT_BUFFERED),
	{FAULT_BUFFERED, SERVER_APACHE, APACHE, AT_END " (if mod_fcgid runs rowtail)",
		"<IfModule mod_fcgid.c>\n\tFcgidOutputBufferSize 0\n</IfModule>"},
	{FAULT_BUFFERED, SERVER_APACHE, APACHE, AT_END " (if mod_security reads answers)",
		"<LocationMatch \"^@(/|\\z)\">\n\t<IfModule "
		"mod_security2.c>\n\t\tSecResponseBodyAccess "
		"Off\n\t</IfModule>\n</LocationMatch>"},
	LIGHTTPD_THERE(FAULT_BUFFERED, "server.stream-response-body = 2 }"),
	{FAULT_BUFFERED, SERVER_CADDY, CADDY, IN_PROXY, "flush_interval -1"},
	{FAULT_BUFFERED, SERVER_CADDY, CADDY,
		"delete these lines from the reverse_proxy { … } of @",
		"buffer_responses\nresponse_buffers"},
	{FAULT_BUFFERED, SERVER_CADDY, CADDY, CADDY_TEMPLATES},
	{FAULT_BUFFERED, SERVER_HAPROXY, HAPROXY,
		"delete the line of this kind from the frontend and the backend",
		"http-response wait-for-body"},
	PIPED(FAULT_BUFFERED),

	{FAULT_COMPRESSED, SERVER_NGINX, NGINX, IN_LOCATION, "gzip off;"},
	{FAULT_COMPRESSED, SERVER_APACHE, APACHE, AT_END,
		APACHE_HERE
		"<IfModule mod_deflate.c>\n\t\t\tSetOutputFilter INFLATE\n\t\t</IfModule>\n"
		"\t\t<IfModule mod_filter.c>\n\t\t\tFilterChain !\n\t\t</IfModule>" APACHE_END},
	{FAULT_COMPRESSED, SERVER_CADDY, CADDY, "in the site's block",
		"request_header @* -Accept-Encoding"},
	{FAULT_COMPRESSED, SERVER_HAPROXY, HAPROXY, IN_FRONTEND,
		"http-request del-header Accept-Encoding if { path @ } or { path_beg @/ }"},

	/* A stream that is ended. */
	{FAULT_CUT, SERVER_NGINX, NGINX, IN_LOCATION,
		"fastcgi_read_timeout 60s;\nproxy_read_timeout 60s;\nsend_timeout 60s;"},
	FLUSHED(FAULT_CUT),
	{FAULT_CUT, SERVER_APACHE, APACHE, AT_END " (in place of other lines of these names)",
		"Timeout 300\n<IfModule mod_fcgid.c>\n\tFcgidIOTimeout 40\n\tFcgidBusyTimeout "
		"86400\n</IfModule>"},
	LIGHTTPD_THERE(FAULT_CUT, "server.max-write-idle = 360 server.stream-response-body = 2 }"),
	{FAULT_CUT, SERVER_CADDY, CADDY,
		"in the transport of the reverse_proxy of @, in place of others",
		"read_timeout 0\nwrite_timeout 0"},
	{FAULT_CUT, SERVER_HAPROXY, HAPROXY, IN_BACKEND, "timeout server 60s"},
	{FAULT_CUT, SERVER_HAPROXY, HAPROXY, "in the frontend", "timeout client 60s"},
	PIPED(FAULT_CUT),

	{FAULT_DELAYED, SERVER_HAPROXY, HAPROXY, IN_BACKEND, "option http-no-delay"},

	/* What does not reach rowtail. */
	{FAULT_AUTHORIZATION, SERVER_APACHE, APACHE, AT_END,
		APACHE_HERE "CGIPassAuth On" APACHE_END},
	NGINX_PASSES(
		FAULT_AUTHORIZATION, "HTTP_AUTHORIZATION", "Authorization", "$http_authorization"),
	{FAULT_AUTHORIZATION, SERVER_HAPROXY, HAPROXY, "in the fcgi-app that serves @",
		"pass-header Authorization"},
	PIPED(FAULT_AUTHORIZATION),

	NGINX_PASSES(FAULT_COOKIE, "HTTP_COOKIE", "Cookie", "$http_cookie"),
	PIPED(FAULT_COOKIE),

	NGINX_PASSES(
		FAULT_LAST_EVENT_ID, "HTTP_LAST_EVENT_ID", "Last-Event-ID", "$http_last_event_id"),
	{FAULT_LAST_EVENT_ID, SERVER_APACHE, APACHE, AT_END,
		"SetEnvIf Last-Event-ID \"(.+)\" rowtail_last_id=$1\n"
		"RequestHeader set Last-Event-ID \"%{rowtail_last_id}e\" env=rowtail_last_id"},
	{FAULT_LAST_EVENT_ID, SERVER_HAPROXY, HAPROXY,
		"delete this line from the frontend or backend",
		"http-request del-header Last-Event-ID"},
	{FAULT_LAST_EVENT_ID, SERVER_CADDY, CADDY, "delete this line from the site's block",
		"request_header -Last-Event-ID"},
	PIPED(FAULT_LAST_EVENT_ID),

	{FAULT_QUERY, SERVER_NGINX, NGINX, IN_PARAMETERS,
		"fastcgi_param QUERY_STRING $query_string;"},
	{FAULT_QUERY, SERVER_NGINX, NGINX, "before all rewrites in the server { … }",
		"if ($uri ~ \"^@(/|$)\") { break; }"},
	{FAULT_QUERY, SERVER_APACHE, APACHE,
		"before all other RewriteRules, after RewriteEngine On",
		"RewriteRule \"^@(/|$)\" \"-\" [L]"},
	PIPED(FAULT_QUERY),

	{FAULT_PATH, SERVER_NGINX, NGINX, IN_PARAMETERS,
		"fastcgi_split_path_info \"^(@)(.*)$\";\nfastcgi_param PATH_INFO "
		"$fastcgi_path_info;\n"
		"fastcgi_param SCRIPT_NAME @;"},
	{FAULT_PATH, SERVER_APACHE, APACHE,
		AT_END " (and let the SetHandler apply to <Location \"@\">)",
		"<Location \"@\">\n\tSetEnv ROWTAIL_MOUNT \"@\"\n</Location>"},
	{FAULT_PATH, SERVER_CADDY, CADDY, "in the transport fastcgi { … } of @", "split @"},
	{FAULT_PATH, SERVER_HAPROXY, HAPROXY, "in the frontend, before the other use_backend lines",
		"use_backend rowtail if { path @ } or { path_beg @/ }"},
	{FAULT_PATH, SERVER_HAPROXY, HAPROXY, IN_BACKEND " with use-fcgi-app",
		"http-request set-var(txn.rowtail_path) path,regsub(^@,)"},
	{FAULT_PATH, SERVER_HAPROXY, HAPROXY,
		"in the fcgi-app of that backend, in place of other lines of these names",
		"set-param SCRIPT_NAME @\nset-param PATH_INFO %[var(txn.rowtail_path)]"},

	{FAULT_SLASH, SERVER_APACHE, APACHE, "in the site's <VirtualHost>",
		"AllowEncodedSlashes On"},

	{FAULT_ERROR_PAGES, SERVER_NGINX, NGINX, IN_LOCATION,
		"fastcgi_intercept_errors off;\nproxy_intercept_errors off;"},
	{FAULT_ERROR_PAGES, SERVER_APACHE, APACHE, AT_END,
		APACHE_HERE "ProxyErrorOverride Off" APACHE_END},
	LIGHTTPD_THERE(FAULT_ERROR_PAGES, "server.error-intercept = \"disable\" }"),
	PIPED(FAULT_ERROR_PAGES),

	{FAULT_POST, SERVER_NGINX, NGINX, IN_LOCATION ", in place of another limit_except",
		"limit_except GET POST OPTIONS { deny all; }\nclient_max_body_size 128k;"},
	{FAULT_POST, SERVER_APACHE, APACHE, AT_END,
		"<Location \"@\">\n\t<Limit GET POST OPTIONS>\n\t\tRequire all "
		"granted\n\t</Limit>\n</Location>"},
	LIGHTTPD_THERE(
		FAULT_POST, "$HTTP[\"request-method\"] == \"POST\" { url.access-deny = () } }"),
	CADDY_EXCEPT(FAULT_POST, "in the matcher that refuses the method"),
	{FAULT_POST, SERVER_HAPROXY, HAPROXY, IN_FRONTEND,
		"http-request allow if METH_POST { path_beg @ }"},
	PIPED(FAULT_POST),

	/* What answers in rowtail's place. */
	{FAULT_FRONT_CONTROLLER, SERVER_NGINX, "the site's file in /etc/nginx/sites-enabled",
		IF_MISSING "in the server { … } of this name and port",
		"include snippets/rowtail.conf;"},
	{FAULT_FRONT_CONTROLLER, SERVER_NGINX, NGINX,
		"in the server { … }, before its rewrite, if and return (and rowtail's location as "
		"in deploy/nginx)",
		"if ($uri ~ \"^@(/|$)\") { break; }"},
	{FAULT_FRONT_CONTROLLER, SERVER_APACHE, "the site's file in /etc/apache2/sites-enabled",
		IF_MISSING "in the <VirtualHost> of this name and port",
		"Include conf-available/rowtail.conf"},
	{FAULT_FRONT_CONTROLLER, SERVER_APACHE, APACHE,
		"before all other RewriteRules, after RewriteEngine On",
		"RewriteRule \"^/?`(/|$)\" \"-\" [L]"},
	{FAULT_FRONT_CONTROLLER, SERVER_LIGHTTPD, SHELL, "as root, if rowtail is not enabled",
		"lighty-enable-mod rowtail\nsystemctl restart lighttpd"},
	LIGHTTPD_THERE(FAULT_FRONT_CONTROLLER,
		"url.rewrite-once = () url.rewrite-if-not-file = () url.redirect = () "
		"server.error-handler-404 = \"\" }"),
	{FAULT_FRONT_CONTROLLER, SERVER_CADDY, CADDY, IF_MISSING "in the site's block",
		"import rowtail"},
	CADDY_EXCEPT(FAULT_FRONT_CONTROLLER,
		"in the matcher of the site's redir, rewrite, respond or handle"),
	{FAULT_FRONT_CONTROLLER, SERVER_HAPROXY, HAPROXY, IN_FRONTEND,
		"http-request allow if { path @ } or { path_beg @/ }"},
	{FAULT_FRONT_CONTROLLER, SERVER_HAPROXY, HAPROXY,
		"in the frontend, before the other use_backend lines",
		"use_backend rowtail if { path @ } or { path_beg @/ }"},
	PIPED(FAULT_FRONT_CONTROLLER),

	{FAULT_TYPE, SERVER_NGINX, NGINX, "delete these lines from the location that serves @",
		"fastcgi_hide_header Content-Type;\nproxy_hide_header Content-Type;"},
	{FAULT_TYPE, SERVER_APACHE, APACHE, AT_END,
		APACHE_HERE "ForceType None\n\t\t<IfModule mod_headers.c>\n\t\t\tHeader set "
			    "Content-Type \"text/event-stream\" "
			    "\"expr=%{REQUEST_STATUS} == 200\"\n\t\t</IfModule>" APACHE_END},
	LIGHTTPD_THERE(FAULT_TYPE,
		"setenv.set-response-header = ( \"Cache-Control\" => \"no-cache, "
		"no-transform\" ) }"),
	CADDY_EXCEPT(FAULT_TYPE, "in the matcher of the header directive that sets Content-Type"),
	{FAULT_TYPE, SERVER_HAPROXY, HAPROXY,
		"delete the line of this kind from the frontend and the backend",
		"http-response set-header Content-Type"},
	PIPED(FAULT_TYPE),

	{FAULT_CACHED, SERVER_NGINX, NGINX, IN_LOCATION,
		"fastcgi_cache off;\nproxy_cache off;\nexpires off;"},
	{FAULT_CACHED, SERVER_APACHE, APACHE, AT_END,
		"<LocationMatch \"^@(/|\\z)\">\n\t<IfModule mod_cache.c>\n\t\tCacheDisable "
		"on\n\t</IfModule>\n\t<If \"true\">\n"
		"\t\t<IfModule mod_expires.c>\n\t\t\tExpiresActive "
		"Off\n\t\t</IfModule>\n\t\t<IfModule mod_headers.c>\n"
		"\t\t\tHeader always unset Cache-Control\n\t\t\tHeader unset Expires\n"
		"\t\t\tHeader set Cache-Control \"no-cache, "
		"no-transform\"\n\t\t</IfModule>" APACHE_END},
	LIGHTTPD_THERE(FAULT_CACHED,
		"setenv.set-response-header = ( \"Cache-Control\" => \"no-cache, "
		"no-transform\" ) }"),
	CADDY_EXCEPT(
		FAULT_CACHED, "in the matcher of the header directive that sets Cache-Control"),
	{FAULT_CACHED, SERVER_HAPROXY, HAPROXY, IN_BACKEND,
		"http-after-response set-header Cache-Control \"no-cache, no-transform\""},
	PIPED(FAULT_CACHED),

	{FAULT_REWRITTEN, SERVER_NGINX, NGINX, IN_LOCATION,
		"ssi off;\ncharset off;\nsub_filter_types none/none;"},
	{FAULT_REWRITTEN, SERVER_APACHE, APACHE, AT_END,
		APACHE_HERE
		"SetOutputFilter INFLATE\n\t\t<IfModule mod_filter.c>\n\t\t\tFilterChain !\n"
		"\t\t</IfModule>" APACHE_END},

	/* Other origins. @O is the origin. */
	{FAULT_CORS, SERVER_ROWTAIL, ROWTAIL, "as a line of its own, then restart rowtail",
		"allow-origin = @O"},
	REPEATED(SERVER_NGINX, NGINX, "add_header Access-Control-Allow-Origin"),
	REPEATED(SERVER_APACHE, APACHE, "Header add Access-Control-Allow-Origin"),
	REPEATED(SERVER_LIGHTTPD, LIGHTTPD,
		"setenv.add-response-header = ( \"Access-Control-Allow-Origin\""),
	REPEATED(SERVER_CADDY, CADDY, "header Access-Control-Allow-Origin"),
	REPEATED(SERVER_HAPROXY, HAPROXY, "http-response add-header Access-Control-Allow-Origin"),
	{FAULT_PREFLIGHT, SERVER_NGINX, NGINX, IN_LOCATION ", in place of another limit_except",
		"limit_except GET POST OPTIONS { deny all; }"},
	{FAULT_PREFLIGHT, SERVER_APACHE, APACHE, AT_END,
		"<Location \"@\">\n\t<Limit GET POST OPTIONS>\n\t\tRequire all "
		"granted\n\t</Limit>\n</Location>"},
	{FAULT_PREFLIGHT, SERVER_HAPROXY, HAPROXY, IN_FRONTEND,
		"http-request allow if METH_OPTIONS { path_beg @ }"},
	LIGHTTPD_THERE(FAULT_PREFLIGHT,
		"$HTTP[\"request-method\"] == \"OPTIONS\" { url.access-deny = () } }"),
	CADDY_EXCEPT(FAULT_PREFLIGHT, "in the matcher that refuses the method"),

	{FAULT_LEAVING_LATE, SERVER_NGINX, NGINX, IN_LOCATION,
		"fastcgi_ignore_client_abort off;\nproxy_ignore_client_abort off;"},
	LIGHTTPD_THERE(FAULT_LEAVING, "server.stream-response-body = 2 }"),
	PIPED(FAULT_LEAVING),

	{FAULT_ACCESS, SERVER_ROWTAIL, SHELL,
		"as root, if everyone may read the channel (write its name in place of news/*)",
		"runuser -u rowtail -- sqlite3 /var/lib/rowtail/events.db \"INSERT INTO "
		"grants(subject, channel) VALUES ('*', 'news/*')\""},

	/* While rowtail is down. */
	{FAULT_DOWN, SERVER_ROWTAIL, SHELL, "as root",
		"systemctl restart rowtail.socket rowtail.service\n"
		"runuser -u rowtail -- rowtail --check /etc/rowtail.conf"},
	SAID(SERVER_NGINX, "tail -n 10 /var/log/nginx/error.log"),
	SAID(SERVER_APACHE, "tail -n 10 /var/log/apache2/error.log"),
	SAID(SERVER_LIGHTTPD, "tail -n 10 /var/log/lighttpd/error.log"),
	/* Caddy does not log an error that handle_errors answers. */
	{FAULT_DOWN, SERVER_CADDY, SHELL,
		"as root; caddy must be in the socket's group (SocketGroup= of rowtail.socket)",
		"id caddy\nls -l /run/rowtail/rowtail.sock"},
	{FAULT_DOWN_ANSWER, SERVER_NGINX, NGINX, IN_LOCATION,
		"error_page 500 502 503 504 = @rowtail_down;"},
	{FAULT_DOWN_ANSWER, SERVER_NGINX, NGINX, "beside that location",
		"location @rowtail_down {\n\tif ($http_accept !~ \"text/event-stream\") "
		"{\n\t\treturn 503;\n\t}\n"
		"\ttypes { }\n\tdefault_type text/event-stream;\n\tadd_header Cache-Control "
		"\"no-cache, no-transform\";\n"
		"\treturn 200 \"" RETRY "\";\n}"},
	{FAULT_DOWN_ANSWER, SERVER_APACHE, APACHE, AT_END " (a2enmod asis)",
		"Alias \"/rowtail-down\" \"" ROWTAIL_DATADIR "/rowtail-down.asis\"\n<Location "
		"\"/rowtail-down\">\n"
		"\tSetHandler send-as-is\n\tRequire all granted\n</Location>\n<Location \"@\">\n"
		"\t<If \"%{HTTP_ACCEPT} =~ m#text/event-stream#\">\n\t\tErrorDocument 500 "
		"/rowtail-down\n"
		"\t\tErrorDocument 502 /rowtail-down\n\t\tErrorDocument 503 /rowtail-down\n"
		"\t\tErrorDocument 504 /rowtail-down\n\t</If>\n</Location>"},
	{FAULT_DOWN_ANSWER, SERVER_LIGHTTPD, LIGHTTPD, AT_END,
		"server.modules += ( \"mod_alias\", \"mod_ssi\" )\n" URL_IS
		"$REQUEST_HEADER[\"Accept\"] =~ \"text/event-stream\" { server.error-handler = "
		"\"/rowtail-down.shtml\" } }\n"
		"$HTTP[\"url\"] == \"/rowtail-down.shtml\" {\n"
		"\talias.url = ( \"/rowtail-down.shtml\" => "
		"\"" ROWTAIL_DATADIR "/rowtail-down.shtml\" )\n"
		"\tssi.extension = ( \".shtml\" )\n\tssi.content-type = \"text/event-stream\"\n}"},
	{FAULT_DOWN_ANSWER, SERVER_CADDY, CADDY, "in the site's block",
		"handle_errors {\n\t@rowtail_down {\n\t\tpath @ @/*\n\t\theader Accept "
		"*text/event-stream*\n\t}\n"
		"\thandle @rowtail_down {\n\t\theader Content-Type text/event-stream\n"
		"\t\theader Cache-Control \"no-cache, no-transform\"\n\t\trespond \"retry: 3000\n"
		": rowtail is down; ask again in three seconds\n\" 200\n\t}\n}"},
	{FAULT_DOWN_ANSWER, SERVER_HAPROXY, HAPROXY, IN_BACKEND,
		HAPROXY_DOWN("502") HAPROXY_DOWN("503")
			HAPROXY_DOWN("504") "http-request set-var(txn.rowtail_stream) bool(true) "
					    "if { req.hdr(Accept) -m sub text/event-stream }\n"
					    "http-response set-var(txn.rowtail_up) bool(true)\n"
					    "http-after-response set-status 200 if { status "
					    "502:504 } { var(txn.rowtail_stream) -m bool } "
					    "!{ var(txn.rowtail_up) -m bool }"},
	PIPED(FAULT_DOWN_ANSWER),

	{FAULT_HTTP10, SERVER_APACHE, APACHE,
		"delete these words from the SetEnv, SetEnvIf and BrowserMatch that apply to @",
		"downgrade-1.0\nforce-response-1.0"},
	{FAULT_HTTP10, SERVER_LIGHTTPD, LIGHTTPD, AT_END ", in place of other lines of this name",
		"server.protocol-http11 = \"enable\""},
	{FAULT_HEARTBEAT, SERVER_ROWTAIL, ROWTAIL,
		"in place of another heartbeat, then restart rowtail", "heartbeat = 15"},
};

const struct cure *cure_next(enum fault fault, enum server server, int *at)
{
	while (*at < (int)(sizeof(cures) / sizeof(*cures))) {
		const struct cure *c = &cures[(*at)++];

		if (c->fault == fault && c->server == server)
			return c;
	}
	return NULL;
}

/* What stands for the mark at c, and how many bytes the mark has; NULL if c is no mark. */
static const char *meaning(const char *c, const struct facts *f, size_t *length)
{
	*length = 1;
	if (*c == '`')
		return f->path[0] ? f->path + 1 : "";
	if (*c != '@' || c[1] == 'r' || c[1] == 'p')
		return NULL;
	if (c[1] != 'O')
		return f->path;
	*length = 2;
	return f->origin;
}

void cure_text(char *to, size_t size, const char *text, const struct facts *f)
{
	size_t used = 0, length;

	for (const char *c = text; *c && used + 1 < size; c += length) {
		const char *means = meaning(c, f, &length);

		used += (size_t)snprintf(to + used, size - used, "%.*s",
			means ? (int)strlen(means) : 1, means ? means : c);
	}
}

"""The parameters of a request, as a web server gives them to a FastCGI or CGI program."""

import urllib.parse


def query_string(query):
    """A query string: a str as it is, a dict or a list of pairs encoded."""
    return query if isinstance(query, str) else urllib.parse.urlencode(query, doseq=True)


def params(
    query="",
    *,
    method="GET",
    path_info="",
    headers=None,
    accept="text/event-stream",
    body=b"",
    content_type=None,
    user=None,
    addr="127.0.0.1",
    extra=None,
):
    """A dict of parameters for the mount point /events, as lighttpd sends them.

    headers: HTTP request fields by their names; extra: parameters as they are, None removes one.
    """
    query = query_string(query)
    uri = "/events" + urllib.parse.quote(path_info) + ("?" + query if query else "")
    given = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "test",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "REQUEST_METHOD": method,
        "REQUEST_URI": uri,
        "SCRIPT_NAME": "/events",
        "PATH_INFO": path_info or None,
        "QUERY_STRING": query,
        "REMOTE_ADDR": addr,
        "REMOTE_USER": user,
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)) if body else None,
        "HTTP_HOST": "localhost",
        "HTTP_ACCEPT": accept,
    }
    for name, value in (headers or {}).items():
        given["HTTP_" + name.upper().replace("-", "_")] = value
    given.update(extra or {})
    return {name: value for name, value in given.items() if value is not None}

/*
 * site: may the page that made this request publish with what its browser sends by itself?
 *
 * Pure. A browser attaches cookies, the web server's login, client certificates and the reader's
 * network address to requests of any site's pages (cross-site request forgery). A page of another
 * site can send a form or text without asking first. So such a request counts only if it comes from
 * a page of this site or of an --allow-origin. An Authorization: Bearer header is different: only a
 * script can set it, and CORS asks us before.
 *
 * Source: Fetch Metadata Request Headers, 2.4 (Sec-Fetch-Site); Fetch standard, 3.2 (Origin, CORS);
 * RFC 9110, 10.1.3 (Referer).
 */
#ifndef ROWTAIL_SITE_H
#define ROWTAIL_SITE_H

#include <stdbool.h>

/* params: "NAME=value" strings; allowed: the --allow-origin list. Both end with NULL. */
bool site_may_publish(char *const *params, const char *const *allowed);

#endif

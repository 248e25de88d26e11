/*
 * hops: names the web servers between the doctor and rowtail, by what they say in their answers.
 *
 * Pure.
 */
#ifndef ROWTAIL_DOCTOR_HOPS_H
#define ROWTAIL_DOCTOR_HOPS_H

#include "doctor/facts.h"

enum server {
	SERVER_UNKNOWN,
	SERVER_NGINX,
	SERVER_APACHE,
	SERVER_LIGHTTPD,
	SERVER_CADDY,
	SERVER_HAPROXY,
	SERVER_VARNISH,
	SERVER_ROWTAIL, /* --http: no web server at all */
	SERVERS
};

struct hops {
	enum server front, inner; /* the outermost; the one behind it, or SERVER_UNKNOWN */
	char front_text[FACTS_FIELD], inner_text[FACTS_FIELD]; /* with versions; "" where unknown */
	char cdn[FACTS_FIELD]; /* a network in front of all; "" */
};

/* Fills *h from all answers. */
void hops_find(struct hops *h, const struct facts *f);

/* "nginx", "Apache"; "the web server" for SERVER_UNKNOWN. */
const char *hops_name(enum server s);

#endif

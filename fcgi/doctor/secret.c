#include "doctor/secret.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A shorter word, such as the number in a cookie, occurs in too many texts. */
enum { SHORTEST = 4 };

static void hide(char *text, const char *secret, size_t length)
{
	char *at = text;

	if (length < SHORTEST)
		return;
	while (*at) {
		if (strncmp(at, secret, length) != 0) {
			at++;
			continue;
		}
		memcpy(at, "***", 3);
		memmove(at + 3, at + length, strlen(at + length) + 1);
		at += 3;
	}
}

static bool is_scheme(const char *word, size_t length)
{
	return (length == 6 && !strncasecmp(word, "Bearer", 6)) ||
	       (length == 5 && !strncasecmp(word, "Basic", 5));
}

/* Each part of a value between these bytes. */
static void hide_parts(char *text, const char *value, const char *ends)
{
	for (const char *word = value; *word;) {
		size_t length = strcspn(word, ends);
		const char *after = word + length;
		/* The name of a cookie stays. */
		bool name = *after == '=' && after[1] && !strchr(ends, after[1]);

		if (!name && !is_scheme(word, length))
			hide(text, word, length);
		word = after + strspn(after, ends);
	}
}

/* "Bearer TOKEN", "a=1; b=2": the whole, its words, and the values in them. */
static void hide_value(char *text, const char *value)
{
	hide(text, value, strlen(value));
	hide_parts(text, value, " \t;,\"");
	hide_parts(text, value, " \t;,\"=");
}

/* The value of a hexadecimal digit; -1. */
static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return !at ? -1 : (int)(at - digits);
}

/* RFC 3986, 2.1. Writes what the text stands for to `to`, which has room for all of it. */
static void decode_percent(char *to, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		int high = i + 2 < length && text[i] == '%' ? digit(text[i + 1]) : -1;
		int low = high >= 0 ? digit(text[i + 2]) : -1;

		*to++ = low >= 0 ? (char)(high * 16 + low) : text[i] == '+' ? ' ' : text[i];
		i += low >= 0 ? 2 : 0;
	}
	*to = '\0';
}

/* RFC 4648, 4: the user and password of Basic. `to` has room for the length of the text. */
static void decode_base64(char *to, const char *text, size_t length)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0;
	int count = 0;

	for (size_t i = 0; i < length && text[i]; i++) {
		const char *at = strchr(alphabet, text[i]);

		if (!at)
			break;
		bits = bits << 6 | (unsigned)(at - alphabet);
		count += 6;
		if (count >= 8) {
			count -= 8;
			*to++ = (char)(bits >> count & 255);
		}
	}
	*to = '\0';
}

static void hide_basic(char *text, const char *value)
{
	char login[TARGET_MAX] = "";
	size_t length = strcspn(value, " \t");
	const char *password;

	if (length != 5 || strncasecmp(value, "Basic", 5) != 0)
		return;
	value += length + strspn(value + length, " \t");
	if (strlen(value) >= sizeof(login))
		return;
	decode_base64(login, value, strlen(value));
	password = strchr(login, ':');
	if (password)
		hide(text, password + 1, strlen(password + 1));
}

/* What rowtail knows, and is no secret. Everything else in a query may be one. */
static bool is_harmless(const char *name, size_t length)
{
	static const char *const names[] = {"channel", "channel[]", "channel%5b%5d", "event",
		"event[]", "last_event_id", "lastEventId", "since", "tail", "envelope", "positions",
		"format", "limit", "wait", "before", "retry"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (length == strlen(names[i]) && !strncasecmp(name, names[i], length))
			return true;
	return false;
}

static void hide_query(char *text, const char *query)
{
	char plain[TARGET_MAX];

	for (const char *p = query; *p && *p != '#'; p += *p == '&') {
		size_t length = strcspn(p, "&#"), name = strcspn(p, "=&#");

		if (name < length && !is_harmless(p, name)) {
			const char *value = p + name + 1;

			hide(text, value, length - name - 1);
			if (length < sizeof(plain)) {
				decode_percent(plain, value, length - name - 1);
				hide(text, plain, strlen(plain));
			}
		}
		p += length;
	}
}

static void hide_query_of(char *text, const char *url)
{
	const char *query = url ? strchr(url, '?') : NULL;

	if (query)
		hide_query(text, query + 1);
}

void secret_hide(char *text, size_t size, const struct options *o)
{
	text[size - 1] = '\0';
	for (int i = 0; o->headers[i]; i++) {
		const char *value = strchr(o->headers[i], ':') + 1;

		value += strspn(value, " \t");
		hide_value(text, value);
		hide_basic(text, value);
	}
	hide_query(text, o->target.query);
	hide_query_of(text, o->url);
	hide_query_of(text, o->status_url);
}

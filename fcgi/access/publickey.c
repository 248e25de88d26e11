#include "access/publickey.h"

#include <string.h>

enum { TAG_INTEGER = 0x02, TAG_BITS = 0x03, TAG_OID = 0x06, TAG_SEQUENCE = 0x30 };

/* The part of an encoding that is still to be read. */
struct der {
	const uint8_t *at;
	size_t left;
};

/* X.690, section 8.1.3: reads a length of one to three bytes at d. */
static bool take_length(struct der *d, size_t *length)
{
	size_t bytes;

	if (d->left == 0)
		return false;
	*length = *d->at++;
	d->left--;
	if (*length < 0x80)
		return *length <= d->left;
	bytes = *length & 0x7f;
	if (bytes == 0 || bytes > 2 || bytes > d->left)
		return false;
	for (*length = 0; bytes > 0; bytes--, d->left--)
		*length = *length << 8 | *d->at++;
	return *length <= d->left;
}

/* Takes one element with this tag; *inside is its content. */
static bool take(struct der *d, uint8_t tag, struct der *inside)
{
	size_t length;

	if (d->left == 0 || *d->at != tag)
		return false;
	d->at++;
	d->left--;
	if (!take_length(d, &length))
		return false;
	*inside = (struct der){d->at, length};
	d->at += length;
	d->left -= length;
	return true;
}

static bool is(const struct der *d, const char *bytes, size_t length)
{
	return d->left == length && !memcmp(d->at, bytes, length);
}

static enum publickey_kind curve(const struct der *oid)
{
	if (is(oid, "\x2a\x86\x48\xce\x3d\x03\x01\x07", 8))
		return PUBLICKEY_P256;
	if (is(oid, "\x2b\x81\x04\x00\x22", 5))
		return PUBLICKEY_P384;
	return is(oid, "\x2b\x81\x04\x00\x23", 5) ? PUBLICKEY_P521 : PUBLICKEY_OTHER;
}

static enum publickey_kind kind(struct der *algorithm)
{
	struct der oid, parameter;

	if (!take(algorithm, TAG_OID, &oid))
		return PUBLICKEY_OTHER;
	if (is(&oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9))
		return PUBLICKEY_RSA;
	if (is(&oid, "\x2b\x65\x70", 3))
		return PUBLICKEY_ED25519;
	if (is(&oid, "\x2a\x86\x48\xce\x3d\x02\x01", 7) && take(algorithm, TAG_OID, &parameter))
		return curve(&parameter);
	return PUBLICKEY_OTHER;
}

static size_t modulus_bits(struct der *key)
{
	struct der pair, n;
	size_t bits;

	if (!take(key, TAG_SEQUENCE, &pair) || !take(&pair, TAG_INTEGER, &n))
		return 0;
	for (; n.left > 0 && *n.at == 0; n.at++)
		n.left--;
	bits = n.left * 8;
	for (unsigned top = n.left > 0 ? *n.at : 0x80; top < 0x80; top <<= 1)
		bits--;
	return bits;
}

bool publickey_read(struct publickey *key, const char *pem)
{
	uint8_t bytes[PUBLICKEY_MAX];
	size_t length = sizeof(bytes);
	struct der d = {bytes, 0}, outer, algorithm, content;

	memset(key, 0, sizeof(*key));
	if (!token_pem(pem, bytes, &length))
		return false;
	d.left = length;
	if (!take(&d, TAG_SEQUENCE, &outer) || d.left > 0 ||
		!take(&outer, TAG_SEQUENCE, &algorithm) || !take(&outer, TAG_BITS, &content) ||
		outer.left > 0 || content.left == 0 || *content.at != 0)
		return false;
	content.at++;
	content.left--;
	key->kind = kind(&algorithm);
	key->length = content.left;
	memcpy(key->bytes, content.at, content.left);
	if (key->kind == PUBLICKEY_RSA)
		key->bits = modulus_bits(&content);
	return key->kind != PUBLICKEY_ED25519 || key->length == TOKEN_ED25519_KEY;
}

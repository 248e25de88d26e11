/* links: protocol/arrival protocol/record base/buffer */
/* libs: -lfcgi */
/* libfcgi must parse what arrival calls complete, at once, without errors, and in the same way. */
#include "arriving.h"

#include <glob.h>
#include <stdio.h>

#include "oracle.h"
#include "protocol/record.h"

enum { REQUESTS = 700, MUTATIONS = 4000, HANG_SECONDS = 120, SEED = 20260131 };

static uint64_t random_state = SEED;

/* 0 to below - 1; the same in every run. */
static size_t random_below(size_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (size_t)(random_state >> 33) % below;
}

/* Mostly short, sometimes at the boundary between the two forms of a length, seldom long. */
static size_t random_size(void)
{
	switch (random_below(8)) {
	case 0:
		return 0;
	case 1:
		return 126 + random_below(4);
	case 2:
		return random_below(20) == 0 ? random_below(30000) : random_below(600);
	default:
		return 1 + random_below(40);
	}
}

static void random_bytes(struct buffer *b, size_t length)
{
	uint8_t *room = buffer_reserve(b, length);

	assert_true(room || length == 0);
	for (size_t i = 0; i < length; i++)
		room[i] = (uint8_t)random_below(256);
	b->length += length;
}

static void random_params(void)
{
	size_t count = random_below(50);

	buffer_clear(&params);
	for (size_t i = 0; i < count; i++) {
		size_t name = random_size(), value = random_size();
		if (8 + name + value > ARRIVAL_CONTENT_MAX - params.length)
			break;
		wire_length(&params, (uint32_t)name, random_below(4) == 0);
		wire_length(&params, (uint32_t)value, random_below(4) == 0);
		random_bytes(&params, name + value);
	}
}

static void random_body(void)
{
	size_t length = random_below(10) ? random_size() : random_below(ARRIVAL_CONTENT_MAX);
	size_t room = ARRIVAL_CONTENT_MAX - params.length;

	buffer_clear(&body);
	random_bytes(&body, length < room ? length : room);
}

/*
 * Splits a stream into records as a server would, or as none would, with an empty one at the end.
 */
static void random_records(int type, unsigned id, const struct buffer *content)
{
	const size_t usual[] = {1, 8, 400, 8192, 32768, 65535};
	size_t largest = usual[random_below(6)], at, step;

	if (largest == 1 && content->length > 4000)
		largest = 400;
	for (at = 0; at < content->length; at += step) {
		step = 1 + random_below(largest);
		if (step > content->length - at)
			step = content->length - at;
		wire_record(&wire, type, id, content->data + at, step,
			(unsigned)(random_below(2) ? random_below(256) : -step & 7));
	}
	wire_end(&wire, type, id);
}

/* Fills `wire` with a request of at most so many bytes; returns its id. */
static unsigned random_request(size_t size_max)
{
	unsigned id = random_below(4) ? 1 : 1 + (unsigned)random_below(65535);

	do {
		random_params();
		random_body();
		buffer_clear(&wire);
		wire_begin(&wire, id, FCGI_RESPONDER, (uint8_t)random_below(256));
		random_records(FCGI_PARAMS, id, &params);
		random_records(FCGI_STDIN, id, &body);
		if (random_below(4) == 0)
			wire_pad(&wire, (unsigned)random_below(256));
	} while (wire.length > size_max);
	return id;
}

/* What arrival says about `wire` in some pieces. */
static enum arrival_state scan_in_pieces(struct arrival *a)
{
	size_t have = 0;

	arrival_init(a);
	while (have < wire.length && a->state == ARRIVAL_PARTIAL) {
		have += 1 + random_below(wire.length - have);
		arrival_scan(a, wire.data, have);
	}
	return a->state;
}

static void assert_agreed(const char *complaint, const char *what, int n)
{
	if (complaint)
		fail_msg("%s %d: %s", what, n, complaint);
}

/* Asserts that arrival finds `wire` complete, and that libfcgi reads the original request. */
static void assert_parsed(unsigned id, const char *what, int n)
{
	struct arrival a;

	if (scan_in_pieces(&a) != ARRIVAL_WHOLE)
		fail_msg("%s %d: arrival says %d", what, n, a.state);
	assert_int_equal(a.length, wire.length);
	assert_int_equal(a.request_id, id);
	assert_agreed(oracle_judge(wire.data, a.length, (int)id, &params, &body), what, n);
}

static void test_random_requests_are_read_as_they_were_sent(void **state)
{
	random_state = SEED;
	for (int n = 0; n < REQUESTS; n++) {
		unsigned id = random_request(ARRIVAL_BYTES_MAX);
		assert_parsed(id, "request", n);
	}
}

/* A request with everything in `params` and `body`. */
static void assert_chunks_parsed(size_t params_chunk, size_t body_chunk, unsigned padding)
{
	buffer_clear(&wire);
	wire_begin(&wire, 1, FCGI_RESPONDER, 0);
	wire_stream(&wire, FCGI_PARAMS, 1, &params, params_chunk, padding);
	wire_stream(&wire, FCGI_STDIN, 1, &body, body_chunk, padding);
	assert_parsed(1, "records of", (int)params_chunk);
}

static void test_requests_at_the_limits_are_read(void **state)
{
	/* As many parameters as can be, all empty. */
	while (params.length < ARRIVAL_CONTENT_MAX)
		wire_pair(&params, "", "");
	assert_chunks_parsed(65535, 1, 0);
	assert_chunks_parsed(1001, 1, 255);

	/* One parameter of the largest size. */
	buffer_clear(&params);
	wire_length(&params, 0, true);
	wire_length(&params, ARRIVAL_CONTENT_MAX - 8, true);
	random_bytes(&params, ARRIVAL_CONTENT_MAX - 8);
	assert_chunks_parsed(65535, 1, 255);
	assert_chunks_parsed(8192, 1, 0);

	/*
	 * The largest body, in small records with much padding: nearly the maximum number of bytes.
	 */
	buffer_clear(&params);
	random_bytes(&body, ARRIVAL_CONTENT_MAX);
	assert_chunks_parsed(1, 65535, 3);
	body.length = (ARRIVAL_BYTES_MAX - 32) / (8 + 1 + 255);
	assert_chunks_parsed(1, 1, 255);
}

/* Where the n-th record of `wire` begins, n being random. */
static size_t random_record(void)
{
	size_t count = 0, at;

	for (at = 0; at < wire.length; at += wire_record_size(wire.data + at))
		count++;
	count = random_below(count);
	for (at = 0; count > 0; count--)
		at += wire_record_size(wire.data + at);
	return at;
}

/* Replaces bytes [at, at + gone) of `wire` by others. */
static void replace(size_t at, size_t gone, const uint8_t *bytes, size_t length)
{
	struct buffer made;

	buffer_init(&made, WIRE_MAX);
	buffer_append(&made, wire.data, at);
	buffer_append(&made, bytes, length);
	buffer_append(&made, wire.data + at + gone, wire.length - at - gone);
	buffer_free(&wire);
	wire = made;
}

/* A record is dropped, doubled, or put in front of another. */
static void move_record(void)
{
	struct buffer record;
	size_t at = random_record(), size = wire_record_size(wire.data + at);

	buffer_init(&record, WIRE_MAX);
	buffer_append(&record, wire.data + at, size);
	if (random_below(2))
		replace(at, size, NULL, 0);
	if (wire.length > 0 && random_below(3))
		replace(random_record(), 0, record.data, record.length);
	buffer_free(&record);
}

static void mutate_bytes(size_t at, size_t length)
{
	const uint8_t telling[] = {0, 1, 2, 4, 5, 8, 9, 127, 128, 129, 255};

	at += random_below(length);
	if (random_below(2))
		wire.data[at] = telling[random_below(sizeof(telling))];
	else
		wire.data[at] ^= (uint8_t)(1 << random_below(8));
}

/* First a change that keeps the records' boundaries, then some that do not. */
static void mutate(void)
{
	uint8_t byte = (uint8_t)random_below(256);
	size_t at;

	switch (random_below(6)) {
	case 0:
		move_record();
		break;
	case 1:
		mutate_bytes(random_record(), FCGI_HEADER_LEN);
		break;
	case 2:
		/* Lengths of pairs are at the beginning of a record more often than elsewhere. */
		at = random_record();
		mutate_bytes(at, wire.length - at < 24 ? wire.length - at : 24);
		break;
	case 3:
		replace(random_below(wire.length), 0, &byte, 1);
		break;
	case 4:
		replace(random_below(wire.length), 1, NULL, 0);
		break;
	default:
		mutate_bytes(0, wire.length);
	}
}

static void test_arrival_accepts_no_mutated_request_that_libfcgi_refuses(void **state)
{
	struct arrival a;
	int told[ARRIVAL_NOT_FASTCGI + 1] = {0};

	random_state = SEED + 1;
	for (int n = 0; n < MUTATIONS; n++) {
		random_request(6000);
		mutate();
		told[scan_in_pieces(&a)]++;
		if (a.state != ARRIVAL_WHOLE)
			continue;
		assert_agreed(oracle_judge_bytes(wire.data, a.length, a.request_id), "mutation", n);
	}
	/* Some mutations were harmless and some fatal. */
	assert_true(told[ARRIVAL_WHOLE] > MUTATIONS / 10);
	assert_true(told[ARRIVAL_NOT_FASTCGI] > MUTATIONS / 10);
	assert_true(told[ARRIVAL_PARTIAL] > MUTATIONS / 100);
	assert_true(told[ARRIVAL_TOO_LARGE] > 0);
	print_message("mutations: %d whole, %d not FastCGI, %d partial, %d too large\n",
		told[ARRIVAL_WHOLE], told[ARRIVAL_NOT_FASTCGI], told[ARRIVAL_PARTIAL],
		told[ARRIVAL_TOO_LARGE]);
}

/* Asserts that a recorded file is a complete request, for libfcgi too. */
static void assert_recorded(const char *path, int n)
{
	FILE *file = fopen(path, "rb");
	uint8_t *room = buffer_reserve(&wire, ARRIVAL_BYTES_MAX);
	struct arrival a;

	assert_non_null(file);
	assert_non_null(room);
	wire.length = fread(room, 1, ARRIVAL_BYTES_MAX, file);
	fclose(file);
	assert_int_equal(scan_in_pieces(&a), ARRIVAL_WHOLE);
	assert_int_equal(a.length, wire.length);
	assert_agreed(oracle_judge_bytes(wire.data, wire.length, a.request_id), path, n);
	buffer_clear(&wire);
}

/* The files contain what web servers sent for a GET, a chunked POST, and so on. */
static void test_requests_of_web_servers_are_read(void **state)
{
	const char *servers[] = {"apache", "caddy", "fcgid", "lighttpd", "nginx"};
	char pattern[200];
	glob_t found;

	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++) {
		snprintf(pattern, sizeof(pattern), "tests/fuzz/corpus/fuzz_arrival/%s-*",
			servers[i]);
		assert_int_equal(glob(pattern, 0, NULL, &found), 0);
		for (size_t n = 0; n < found.gl_pathc; n++)
			assert_recorded(found.gl_pathv[n], (int)n);
		globfree(&found);
	}
}

/* libfcgi's answer to FCGI_GET_VALUES before a request. Returns its length. */
static size_t ask_libfcgi(const struct buffer *question, uint8_t *answer, size_t size)
{
	FCGX_Request r;
	ssize_t length;
	int peer, fd;

	buffer_clear(&wire);
	buffer_append(&wire, question->data, question->length);
	wire_begin(&wire, 1, FCGI_RESPONDER, 0);
	wire_end(&wire, FCGI_PARAMS, 1);
	wire_end(&wire, FCGI_STDIN, 1);
	fd = oracle_socket(wire.data, wire.length, &peer);
	assert_true(fd >= 0);
	FCGX_InitRequest(&r, -1, 0);
	r.ipcFd = fd;
	r.keepConnection = 1;
	assert_int_equal(FCGX_Accept_r(&r), 0);
	length = recv(peer, answer, size, MSG_DONTWAIT);
	assert_true(length >= FCGI_HEADER_LEN);
	FCGX_Free(&r, 0);
	close(fd);
	close(peer);
	return (size_t)length;
}

/* libfcgi serves one connection at a time, and says so; it pads, and rowtail does not. */
static void test_values_are_answered_as_libfcgi_answers_them(void **state)
{
	const char *names[] = {FCGI_MAX_CONNS, FCGI_MAX_REQS, FCGI_MPXS_CONNS};
	uint8_t theirs[200], ours[RECORD_VALUES_MAX];
	size_t content;

	for (unsigned asked = 1; asked < 8; asked++) {
		struct buffer question;
		buffer_init(&question, WIRE_MAX);
		buffer_clear(&params);
		for (unsigned i = 0; i < 3; i++)
			if (asked & 1U << i)
				wire_pair(&params, names[i], "");
		wire_record(&question, FCGI_GET_VALUES, 0, params.data, params.length, asked * 30);
		ask_libfcgi(&question, theirs, sizeof(theirs));
		content = (size_t)theirs[4] << 8 | theirs[5];
		assert_int_equal(
			record_values_result(ours, question.data, question.length, 1), 8 + content);
		theirs[6] = 0;
		assert_memory_equal(ours, theirs, 8 + content);
		buffer_free(&question);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ARRIVAL_TEST(random_requests_are_read_as_they_were_sent),
		ARRIVAL_TEST(requests_at_the_limits_are_read),
		ARRIVAL_TEST(arrival_accepts_no_mutated_request_that_libfcgi_refuses),
		ARRIVAL_TEST(requests_of_web_servers_are_read),
		ARRIVAL_TEST(values_are_answered_as_libfcgi_answers_them),
	};

	oracle_init();
	alarm(HANG_SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

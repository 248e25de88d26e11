/*
 * rowtail-doctor's judgement of facts: what is found, how bad it is, and which cure is printed.
 * links: doctor/judge doctor/judge_flow doctor/judge_late doctor/judge_request doctor/judge_answer doctor/findings doctor/cure doctor/hops base/text base/utf8
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doctor/cure.h"
#include "doctor/judge.h"

static struct facts f;
static struct findings found;

static void stream(enum probe probe)
{
	struct answer *a = &f.answer[probe];

	*a = (struct answer){.asked = true, .status = 200, .version = 11, .records = 1};
	a->end_ms = a->age_s = a->retry_ms = -1;
	a->last_byte_ms = 16000;
	strcpy(a->type, "text/event-stream");
	strcpy(a->cache_control, "no-cache, no-transform");
	strcpy(a->first_type, "position");
	for (int i = 0; i < FACTS_ROWS; i++) {
		a->row_ms[i] = 1000 * i + 2;
		a->row_count[i] = 1;
	}
}

/* Everything is right. */
static int fine(void **state)
{
	memset(&f, 0, sizeof(f));
	memset(&found, 0, sizeof(found));
	strcpy(f.path, "/events");
	f.with_rows = true;
	f.silence_ms = 35000;
	f.left_ms = -1;
	for (int i = 0; i < FACTS_ROWS; i++)
		f.rows_ms[i] = 1000 * i;
	for (enum probe p = PROBE_FIRST; p <= PROBE_POST; p++)
		if (p != PROBE_H2 && p != PROBE_H2_BROWSER)
			stream(p);
	for (enum probe p = PROBE_HEADER; p <= PROBE_POST; p++) {
		strcpy(f.answer[p].first_type, "gap");
		strcpy(f.answer[p].first_data, "{\"requested\":\"" FACTS_POSITION "\"}");
	}
	return 0;
}

static const struct finding *named(const char *name)
{
	for (int i = 0; i < found.count; i++)
		if (!strcmp(found.finding[i].name, name))
			return &found.finding[i];
	return NULL;
}

static void judge(void)
{
	if (judge_first(&f, &found))
		judge_all(&f, NULL, &found);
}

static void wrong(const char *name, int exit_status)
{
	judge();
	assert_non_null(named(name));
	assert_int_equal(named(name)->level, LEVEL_WRONG);
	assert_int_equal(findings_exit_status(&found), exit_status);
}

static void test_right_facts_are_fine(void **state)
{
	judge();
	assert_int_equal(findings_exit_status(&found), 0);
	assert_int_equal(named("open")->level, LEVEL_OK);
	assert_int_equal(named("heartbeat")->level, LEVEL_OK);
}

static void test_missing_rows_are_buffered(void **state)
{
	f.answer[PROBE_PLAIN].row_ms[4] = -1;
	wrong("buffered", 2);
}

static void test_rows_in_lumps_are_buffered(void **state)
{
	for (int i = 0; i < FACTS_ROWS; i++)
		f.answer[PROBE_PLAIN].row_ms[i] = 9000;
	wrong("buffered", 2);
}

static void test_one_late_row_is_not_buffered(void **state)
{
	f.answer[PROBE_PLAIN].row_ms[4] += 5000;
	judge();
	assert_null(named("buffered"));
}

/* Each row comes 5 s late, and each answer that was asked for with it took so long. */
static void delay_rows(int64_t control_ms)
{
	for (int i = 0; i < FACTS_ROWS; i++) {
		struct answer *control = &f.answer[PROBE_CONTROL + i];

		f.answer[PROBE_PLAIN].row_ms[i] = f.rows_ms[i] + 5000;
		control->asked = true;
		control->status = 200;
		control->asked_ms = f.rows_ms[i];
		control->end_ms = f.rows_ms[i] + control_ms;
	}
}

static void test_rows_as_late_as_other_answers_are_fine(void **state)
{
	delay_rows(4950);
	judge();
	assert_int_equal(findings_exit_status(&found), 0);
	assert_int_equal(named("at-once")->level, LEVEL_OK);
	assert_non_null(strstr(named("at-once")->what, "5000 ms after COMMIT; other answers"));
}

static void test_rows_later_than_other_answers_are_delayed(void **state)
{
	delay_rows(4000);
	judge();
	assert_int_equal(named("delayed")->level, LEVEL_NOTE);
}

static void test_rows_much_later_than_other_answers_are_buffered(void **state)
{
	delay_rows(3000);
	wrong("buffered", 2);
}

/* Most answers were late by chance, but no row came quickly. */
static void test_rows_that_all_are_later_than_one_answer_are_delayed(void **state)
{
	delay_rows(4990);
	f.answer[PROBE_CONTROL].end_ms = f.rows_ms[0] + 4000;
	judge();
	assert_int_equal(named("delayed")->level, LEVEL_NOTE);
}

/* An answer that never ended says nothing about the machine. */
static void test_late_rows_without_any_other_answer_are_buffered(void **state)
{
	delay_rows(-10000);
	for (int i = 0; i < FACTS_ROWS; i++)
		f.answer[PROBE_CONTROL + i].end_ms = -1;
	wrong("buffered", 2);
}

static void test_rows_before_the_stream_are_not_missed(void **state)
{
	f.answer[PROBE_PLAIN].first_record_ms = 2500;
	for (int i = 0; i < 3; i++)
		f.answer[PROBE_PLAIN].row_ms[i] = -1;
	judge();
	assert_int_equal(findings_exit_status(&found), 0);
}

static void test_stream_that_begins_after_all_rows_is_held_back(void **state)
{
	f.answer[PROBE_PLAIN].first_record_ms = 9000;
	for (int i = 0; i < FACTS_ROWS; i++)
		f.answer[PROBE_PLAIN].row_ms[i] = -1;
	wrong("buffered", 2);
}

static void test_only_one_late_beginning_is_not_buffering(void **state)
{
	f.answer[PROBE_FIRST].first_record_ms = -1;
	judge();
	assert_int_equal(findings_exit_status(&found), 0);
}

static void test_late_beginnings_are_buffered(void **state)
{
	f.with_rows = false;
	f.answer[PROBE_FIRST].first_record_ms = f.answer[PROBE_PLAIN].first_record_ms = 5000;
	wrong("buffered", 2);
}

static void test_beginnings_as_late_as_other_answers_are_fine(void **state)
{
	f.with_rows = false;
	f.answer[PROBE_FIRST].first_record_ms = f.answer[PROBE_PLAIN].first_record_ms = 5000;
	f.answer[PROBE_JSON_1] = (struct answer){.asked = true, .status = 200, .end_ms = 4000};
	judge();
	assert_int_equal(findings_exit_status(&found), 0);
}

static void test_second_look_decides(void **state)
{
	struct facts second = f;

	f.answer[PROBE_PLAIN].row_ms[4] = -1;
	f.answer[PROBE_JSON_1].status = 200;
	assert_true(judge_wants_second(&f));
	assert_false(judge_wants_second(&second));
	judge_all(&f, &second, &found);
	assert_null(named("buffered"));
	judge_all(&second, &f, &found);
	assert_int_equal(named("buffered")->level, LEVEL_WRONG);
}

static void test_only_compressed_streams_are_held_back(void **state)
{
	f.answer[PROBE_BROWSER].first_record_ms = -1;
	wrong("compressed", 2);
}

static void test_compressed_record_by_record(void **state)
{
	strcpy(f.answer[PROBE_BROWSER].encoding, "gzip");
	wrong("compressed", 1);
}

static void test_ended_stream_is_cut(void **state)
{
	f.answer[PROBE_PLAIN].end_ms = 15000;
	f.answer[PROBE_PLAIN].last_byte_ms = 5000;
	wrong("cut", 1);
	assert_non_null(strstr(named("cut")->what, "after 15.0 s, 10.0 s after its last byte"));
}

static void test_no_heartbeat(void **state)
{
	f.answer[PROBE_PLAIN].last_byte_ms = 4002;
	wrong("heartbeat", 1);
}

static void test_changed_row(void **state)
{
	f.answer[PROBE_PLAIN].row_differs = true;
	wrong("rewritten", 2);
}

static void test_ignored_position(void **state)
{
	strcpy(f.answer[PROBE_HEADER].first_type, "position");
	wrong("last-event-id", 1);
}

/* The rows did not come either, because another channel was asked for. */
static void test_lost_query_is_not_called_buffering(void **state)
{
	strcpy(f.answer[PROBE_QUERY].first_type, "position");
	f.answer[PROBE_PLAIN].row_ms[0] = -1;
	wrong("query", 2);
	assert_null(named("buffered"));
}

static void test_statuses(void **state)
{
	static const struct {
		int status;
		const char *name;
	} cases[] = {{401, "access"}, {403, "access"}, {404, "not-found"}, {302, "redirect"},
		{502, "down-answer"}, {503, "down"}, {429, "status"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		fine(state);
		f.answer[PROBE_FIRST].status = cases[i].status;
		wrong(cases[i].name, 2);
	}
}

static void test_pages_instead_of_a_stream(void **state)
{
	struct answer *a = &f.answer[PROBE_FIRST];

	a->records = 0;
	strcpy(a->type, "text/html");
	strcpy(a->body, "<html>");
	wrong("front-controller", 2);
	fine(state);
	a->records = 0;
	strcpy(a->type, "text/html");
	strcpy(a->body, "<html><input type=\"password\">");
	wrong("login", 2);
}

static void test_answer_in_rowtails_place(void **state)
{
	struct answer *a = &f.answer[PROBE_FIRST];

	a->records = 0;
	a->retry_ms = 3000;
	a->end_ms = 10;
	wrong("down", 2);
	assert_int_equal(named("down-answer")->level, LEVEL_OK);
}

static void test_origins(void **state)
{
	struct answer *a = &f.answer[PROBE_BROWSER];

	strcpy(f.origin, "https://a.example");
	f.loopback = true;
	wrong("cors", 1);
	fine(state);
	strcpy(f.origin, "https://a.example");
	a->allow_origins = 2;
	strcpy(a->allow_origin, "https://a.example, *");
	wrong("cors-twice", 1);
	fine(state);
	strcpy(f.origin, "https://a.example");
	f.loopback = a->allow_credentials = true;
	a->allow_origins = 1;
	strcpy(a->allow_origin, "https://a.example");
	judge();
	assert_int_equal(findings_exit_status(&found), 0);
	fine(state);
	strcpy(f.origin, "https://a.example");
	wrong("mixed-content", 1);
}

static void test_caches(void **state)
{
	strcpy(f.answer[PROBE_BROWSER].cache_control, "no-cache, max-age=3600");
	wrong("cached", 1);
	fine(state);
	f.answer[PROBE_BROWSER].age_s = 7;
	wrong("cached", 1);
	fine(state);
	f.answer[PROBE_BROWSER].cache_control[0] = '\0';
	wrong("cached", 1);
}

static void test_leaving(void **state)
{
	f.with_status = true;
	wrong("leaving", 1);
	fine(state);
	f.with_status = true;
	f.left_ms = 500;
	judge();
	assert_int_equal(named("leaving")->level, LEVEL_OK);
}

static void test_servers_are_named(void **state)
{
	struct hops h;

	strcpy(f.answer[PROBE_FIRST].server, "Apache/2.4.71 (Debian)");
	strcpy(f.answer[PROBE_BROKEN].body, "<html><center>nginx</center>");
	hops_find(&h, &f);
	assert_int_equal(h.front, SERVER_NGINX);
	assert_int_equal(h.inner, SERVER_APACHE);
	f.answer[PROBE_FIRST].varnish = true;
	hops_find(&h, &f);
	assert_int_equal(h.front, SERVER_VARNISH);
}

/* The table has a cure for what each server can do wrong, with the URL's own path. */
static void test_cures_name_the_path(void **state)
{
	char text[1024];
	const struct cure *c;
	int at = 0;

	strcpy(f.path, "/a/stream");
	c = cure_next(FAULT_FRONT_CONTROLLER, SERVER_NGINX, &at);
	assert_string_equal(c->lines, "include snippets/rowtail.conf;");
	c = cure_next(FAULT_FRONT_CONTROLLER, SERVER_NGINX, &at);
	assert_non_null(c);
	cure_text(text, sizeof(text), c->lines, &f);
	assert_string_equal(text, "if ($uri ~ \"^/a/stream(/|$)\") { break; }");
	for (enum server s = SERVER_NGINX; s <= SERVER_VARNISH; s++) {
		at = 0;
		assert_non_null(cure_next(FAULT_BUFFERED, s, &at));
		at = 0;
		assert_non_null(cure_next(FAULT_CUT, s, &at));
		at = 0;
		assert_non_null(cure_next(FAULT_DOWN_ANSWER, s, &at));
	}
}

/* A web server whose mount has several parts splits the path at any of them. */
static void test_part_of_the_mount_is_in_the_channel(void **state)
{
	struct answer *a = &f.answer[PROBE_PATH];

	stream(PROBE_PATH);
	a->status = 400;
	strcpy(f.path, "/app/live");
	strcpy(a->body, "channel: \"" FACTS_CHANNEL "\" is not a channel");
	judge();
	assert_int_equal(named("path")->level, LEVEL_OK);
	fine(state);
	stream(PROBE_PATH);
	a->status = 400;
	strcpy(f.path, "/app/live");
	strcpy(a->body, "channel: \"live/" FACTS_CHANNEL "\" is not a channel");
	wrong("path", 1);
}

static void test_server_that_gives_up_held_the_stream_back(void **state)
{
	stream(PROBE_FIRST);
	f.answer[PROBE_FIRST].status = 0;
	f.answer[PROBE_FIRST].first_record_ms = -1;
	f.answer[PROBE_PLAIN].status = f.answer[PROBE_BROWSER].status = 504;
	wrong("buffered", 2);
}

/* What the web server says to other clients names the cause. */
static void test_answer_to_others_is_told(void **state)
{
	struct answer *a = &f.answer[PROBE_FIRST];

	a->records = 0;
	a->end_ms = 10;
	a->retry_ms = 3000;
	f.answer[PROBE_OTHERS].status = 503;
	strcpy(f.answer[PROBE_OTHERS].body, "a module is missing\n");
	wrong("down", 2);
	assert_non_null(strstr(named("down")->what, "get 503: a module is missing."));
}

/* A grant is the cure where rowtail itself refuses, and not where a login of the server does. */
static void test_missing_grant_has_a_cure(void **state)
{
	struct answer *a = &f.answer[PROBE_FIRST];

	f.with_rows = false;
	a->status = 401;
	strcpy(a->body, "log in, or send a token that is granted the channels you ask for");
	wrong("access", 2);
	assert_int_equal(named("access")->fault, FAULT_ACCESS);
	fine(state);
	f.with_rows = false;
	a->status = 401;
	strcpy(a->body, "<html>401 Authorization Required</html>");
	wrong("access", 2);
	assert_int_equal(named("access")->fault, FAULT_NONE);
}

#define TEST(name) cmocka_unit_test_setup(name, fine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_right_facts_are_fine),
		TEST(test_missing_rows_are_buffered),
		TEST(test_rows_in_lumps_are_buffered),
		TEST(test_one_late_row_is_not_buffered),
		TEST(test_rows_as_late_as_other_answers_are_fine),
		TEST(test_rows_later_than_other_answers_are_delayed),
		TEST(test_rows_that_all_are_later_than_one_answer_are_delayed),
		TEST(test_rows_much_later_than_other_answers_are_buffered),
		TEST(test_late_rows_without_any_other_answer_are_buffered),
		TEST(test_rows_before_the_stream_are_not_missed),
		TEST(test_stream_that_begins_after_all_rows_is_held_back),
		TEST(test_only_one_late_beginning_is_not_buffering),
		TEST(test_late_beginnings_are_buffered),
		TEST(test_beginnings_as_late_as_other_answers_are_fine),
		TEST(test_second_look_decides),
		TEST(test_only_compressed_streams_are_held_back),
		TEST(test_compressed_record_by_record),
		TEST(test_ended_stream_is_cut),
		TEST(test_no_heartbeat),
		TEST(test_changed_row),
		TEST(test_ignored_position),
		TEST(test_lost_query_is_not_called_buffering),
		TEST(test_statuses),
		TEST(test_pages_instead_of_a_stream),
		TEST(test_answer_in_rowtails_place),
		TEST(test_origins),
		TEST(test_caches),
		TEST(test_leaving),
		TEST(test_servers_are_named),
		TEST(test_part_of_the_mount_is_in_the_channel),
		TEST(test_server_that_gives_up_held_the_stream_back),
		TEST(test_answer_to_others_is_told),
		TEST(test_missing_grant_has_a_cure),
		TEST(test_cures_name_the_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

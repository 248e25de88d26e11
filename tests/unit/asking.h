/*
 * asking: builds a request, lets request_parse() read it, and checks the result. The input is freed
 * before the checks, and ends where its memory ends.
 */
#ifndef ROWTAIL_TESTS_ASKING_H
#define ROWTAIL_TESTS_ASKING_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "request/request.h"

enum { ASKING_PARAMS_MAX = 64 };

static struct request request;
static struct request_problem problem;
static int result;

static inline char *asking_copy(const char *text, size_t length)
{
	char *copy = malloc(length ? length : 1);

	assert_non_null(copy);
	memcpy(copy, text, length);
	return copy;
}

/* The message is safe to show: one line of UTF-8 without control characters. */
static inline void asking_check_sentence(void)
{
	size_t length = strlen(problem.sentence);

	assert_in_range(length, 20, REQUEST_SENTENCE_MAX - 1);
	assert_int_equal(utf8_valid_prefix((const uint8_t *)problem.sentence, length), length);
	for (size_t i = 0; i < length; i++)
		assert_false((uint8_t)problem.sentence[i] < 0x20 || problem.sentence[i] == 0x7f);
}

/* Parses "NAME=value" strings, NULL at the end, and a body. */
static inline void ask_body(const char *const *params, const char *body, size_t length)
{
	char *copies[ASKING_PARAMS_MAX + 1] = {NULL}, *body_copy = asking_copy(body, length);
	size_t count = 0;

	request_free(&request);
	for (; params[count]; count++) {
		assert_true(count < ASKING_PARAMS_MAX);
		copies[count] = asking_copy(params[count], strlen(params[count]) + 1);
	}
	memset(&problem, 0, sizeof(problem));
	result = request_parse(&request, copies, length ? body_copy : NULL, length, &problem);
	for (size_t i = 0; i < count; i++)
		free(copies[i]);
	free(body_copy);
	if (result != 0)
		asking_check_sentence();
}

#define ASK(...) ask_body((const char *const[]){__VA_ARGS__, NULL}, "", 0)

static inline void ask_query(const char *query)
{
	char *param = malloc(strlen(query) + 14);

	assert_non_null(param);
	snprintf(param, strlen(query) + 14, "QUERY_STRING=%s", query);
	ASK("REQUEST_METHOD=GET", param);
	free(param);
}

/* POSTs a body of a type. */
static inline void ask_post(const char *type, const char *body)
{
	char param[200];

	snprintf(param, sizeof(param), "CONTENT_TYPE=%s", type);
	ask_body((const char *const[]){"REQUEST_METHOD=POST", param, NULL}, body, strlen(body));
}

static inline void ask_json(const char *body)
{
	ask_post("application/json", body);
}

/* The request was accepted. */
static inline void expect_good(void)
{
	if (result != 0)
		fail_msg("%d %s", problem.status, problem.sentence);
}

/* The request was refused with this status, and a message that contains this. */
static inline void expect_refusal(int status, const char *part)
{
	if (result == 0)
		fail_msg("accepted; expected: %d %s", status, part);
	if (problem.status != status || !strstr(problem.sentence, part))
		fail_msg("%d %s; expected: %d %s", problem.status, problem.sentence, status, part);
}

/* The list consists of these texts, each followed by '|'. */
static inline void expect_list(const struct request_list *list, const char *texts)
{
	expect_good();
	for (size_t i = 0; i < list->count; i++) {
		size_t length = list->length[i];

		assert_int_equal(strlen(list->text[i]), length);
		if (strncmp(texts, list->text[i], length) != 0 || texts[length] != '|')
			fail_msg("number %zu is %s; expected: %s", i, list->text[i], texts);
		texts += length + 1;
	}
	assert_string_equal(texts, "");
}

#endif

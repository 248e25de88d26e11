/* links: config/config_help base/origin config/setting base/network base/text base/utf8 config/setting_path config/setting_mirror config/setting_publish */
/* --help, and that the manual has every option in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/setting.h"

static char *help(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_print_help(out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_help_fits_a_terminal(void **state)
{
	char *text = help();
	size_t length;

	for (const char *p = text; *p; p += length + 1) {
		length = strcspn(p, "\n");
		assert_in_range(length, 0, 79);
		assert_true(length == 0 || p[length - 1] != ' ');
		assert_int_equal(p[length], '\n');
	}
	free(text);
}

static void test_help_explains_how_to_start_and_the_defaults(void **state)
{
	static const char *const words[] = {"Usage: rowtail [OPTION]... [CONFIG]", "spawn-fcgi",
		"LISTEN_FDS", "--listen PATH", "GATEWAY_INTERFACE", "#!", "ROWTAIL_MAX_STREAMS",
		"(default 10000)", "(default events)", "(default 0660)", "--jwt-leeway SECONDS"};
	char *text = help();

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strstr(text, words[i]))
			fail_msg("\"%s\" is not in --help", words[i]);
	free(text);
}

/* "--max-streams N" in --help is ".It Fl -max-streams Ar N" in the manual. Returns the count. */
static int options_in(const char *path)
{
	static char manual[200000];
	char item[80], name[40], operand[20];
	FILE *file = fopen(path, "r");
	char *text = help();
	int found, options = 0;

	assert_non_null(file);
	manual[fread(manual, 1, sizeof(manual) - 1, file)] = '\0';
	fclose(file);
	for (const char *p = text; (p = strstr(p, "\n  --")); p++) {
		found = sscanf(p, "\n  --%39[a-z-]%*1[ ]%19[A-Z]%*1[ ]", name, operand);
		snprintf(item, sizeof(item), "\n.It Fl -%s%s%s\n", name, found == 2 ? " Ar " : "",
			found == 2 ? operand : "");
		if (!strstr(manual, item))
			fail_msg("%s has no \"%s\"", path, item + 1);
		options++;
	}
	free(text);
	return options;
}

static void test_the_manual_has_every_option_of_help(void **state)
{
	assert_in_range(options_in("fcgi/rowtail.8"), 20, 60);
}

static void test_the_manual_of_the_mirror_too(void **state)
{
	setting_use(&setting_mirror);
	assert_in_range(options_in("fcgi/rowtail-mirror.8"), 10, 20);
	test_help_fits_a_terminal(state);
	setting_use(&setting_rowtail);
}

static void test_the_manual_of_publish_too(void **state)
{
	setting_use(&setting_publish);
	assert_in_range(options_in("fcgi/rowtail-publish.8"), 10, 20);
	test_help_fits_a_terminal(state);
	setting_use(&setting_rowtail);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test(test_##name)
		TEST(help_fits_a_terminal),
		TEST(help_explains_how_to_start_and_the_defaults),
		TEST(the_manual_has_every_option_of_help),
		TEST(the_manual_of_the_mirror_too),
		TEST(the_manual_of_publish_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

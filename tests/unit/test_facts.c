/* links: server/facts protocol/wire log/gap base/metrics base/buffer base/text base/utf8 */
/* Each fact as a row of the page and as a member of the object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/facts.h"

static const char *const reasons[] = {"shy", "rude", NULL};
static struct facts facts;

static void expect(void (*print)(struct buffer *, const struct facts *), const char *text)
{
	struct buffer out;

	buffer_init(&out, 1 << 16);
	print(&out, &facts);
	assert_true(buffer_append(&out, "", 1));
	assert_string_equal((const char *)out.data, text);
	buffer_free(&out);
}

static void test_every_kind(void **state)
{
	facts.count = 0;
	metrics_add_reason(METRIC_REFUSED, 1);
	facts_heading(&facts, "Log");
	facts_text(&facts, "db", "event log", "/a<b>\"c\".db");
	facts_text(&facts, "trouble", "trouble", NULL);
	facts_heading(&facts, "Streams");
	facts_number(&facts, "streams", NULL, INT64_MAX);
	facts_number(&facts, "age", "age", FACTS_UNKNOWN);
	facts_bytes(&facts, "memory", "memory", 3 << 19);
	facts_ms(&facts, "p50", "median", 0.25);
	facts_reasons(&facts, "refused_total", "refused", METRIC_REFUSED, reasons);
	expect(facts_html, "<section><h2>Log</h2><table>\n"
			   "<tr><th scope=row>event log<td data-fact=db "
			   "data-kind=text>/a&lt;b&gt;&quot;c&quot;.db\n"
			   "<tr hidden><th scope=row>trouble<td data-fact=trouble data-kind=text>\n"
			   "</table></section>\n<section><h2>Streams</h2><table>\n"
			   "<tr hidden><th scope=row>age<td data-fact=age data-kind=number>\n"
			   "<tr><th scope=row>memory<td data-fact=memory data-kind=bytes>1.5 MiB\n"
			   "<tr><th scope=row>median<td data-fact=p50 data-kind=ms>0.25 ms\n"
			   "<tr hidden><th scope=row>refused: shy<td data-fact=refused_total "
			   "data-kind=reason data-reason=shy>0\n"
			   "<tr><th scope=row>refused: rude<td data-fact=refused_total "
			   "data-kind=reason data-reason=rude>1\n</table></section>\n");
	expect(facts_json, "\"db\":\"/a<b>\\\"c\\\".db\",\"trouble\":null,"
			   "\"streams\":9223372036854775807,\"age\":null,\"memory\":1572864,"
			   "\"p50\":0.25,\"refused_total\":{\"shy\":0,\"rude\":1}");
}

static void test_ill_formed_text(void **state)
{
	facts.count = 0;
	facts_text(&facts, "db", NULL, "/\xff\n");
	expect(facts_json, "\"db\":\"/\xef\xbf\xbd\\n\"");
}

static void test_too_many(void **state)
{
	facts.count = 0;
	for (int i = 0; i < 2 * FACTS_MAX; i++)
		facts_number(&facts, "n", "n", i);
	assert_int_equal(facts.count, FACTS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_ill_formed_text),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

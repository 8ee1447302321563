/*
 * The files writeback_... of a backing device.
 *
 * Tunables are set also while the volume has no set; they take effect at once.  Names, formats
 * and limits are those of Linux 6.1: a number outside the limits becomes the nearest one inside.
 */
#include "control/writeback_files.h"

#include "base/numbers.h"
#include "base/units.h"

enum { SECTOR_BYTES = 512, PERCENT_MAX = 40, UPDATE_SECONDS_MAX = 60 };
#define NS_PER_MS INT64_C(1000000)

static const struct writeback_tunables *tunables_of(const struct control_subject *subject)
{
	return &subject->volume->writeback_tunables;
}

static int store_number(struct control_store *store, uint64_t low, uint64_t high, unsigned *value)
{
	uint64_t number;
	int error = control_parse_clamped(store->text, low, high, &number);

	if (error)
		return error;
	*value = number;
	writeback_look_again(&store->subject.volume->writeback);
	return 0;
}

static int store_bool(struct control_store *store, bool *value)
{
	int error = units_parse_bool(store->text, value);

	if (!error)
		writeback_look_again(&store->subject.volume->writeback);
	return error;
}

#define TUNABLE(name, store_it) \
	void control_show_writeback_##name(const struct control_subject *subject, \
					   struct text *text) \
	{ \
		text_number(text, tunables_of(subject)->name); \
	} \
	int control_store_writeback_##name(struct control_store *store) \
	{ \
		struct writeback_tunables *t = &store->subject.volume->writeback_tunables; \
		return store_it; \
	}
#define NUMBER(name, low, high) TUNABLE(name, store_number(store, low, high, &t->name))
#define SWITCH(name) TUNABLE(name, store_bool(store, &t->name))

SWITCH(consider_fragment)
SWITCH(metadata)
SWITCH(running)
NUMBER(delay, 0, UINT32_MAX)
NUMBER(percent, 0, PERCENT_MAX)
NUMBER(rate_fp_term_low, 1, t->rate_fp_term_mid - 1)
NUMBER(rate_fp_term_mid, t->rate_fp_term_low + 1, t->rate_fp_term_high - 1)
NUMBER(rate_fp_term_high, t->rate_fp_term_mid + 1, UINT32_MAX)
NUMBER(rate_i_term_inverse, 1, UINT32_MAX)
NUMBER(rate_minimum, 1, UINT32_MAX)
NUMBER(rate_p_term_inverse, 1, UINT32_MAX)
NUMBER(rate_update_seconds, 1, UPDATE_SECONDS_MAX)

/* Without a set, and while nothing may be written back, there is no rate. */
static bool has_rate(const struct volume *volume)
{
	return volume->set && volume->writeback.state != WRITEBACK_OFF &&
	       (volume->writeback_tunables.running || volume->is_detaching);
}

void control_show_writeback_rate(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;

	text_size(text, has_rate(volume) ?
			(int64_t)writeback_current_rate(&volume->writeback) * SECTOR_BYTES : 0);
}

/* Until the controller sets another one. */
int control_store_writeback_rate(struct control_store *store)
{
	struct writeback *writeback = &store->subject.volume->writeback;
	uint64_t rate;
	int error = control_parse_clamped(store->text, 1, INT32_MAX, &rate);

	if (error)
		return error;
	writeback->rate.sectors_per_second = rate;
	writeback_look_again(writeback);
	return 0;
}

static void print_sectors(struct text *text, const char *label, int64_t sectors, const char *unit)
{
	char size[UNITS_TEXT_BYTES];

	text_print(text, "%s%s%s\n", label, units_print_size(size, sectors * SECTOR_BYTES), unit);
}

/* The terms are 0 while there is no limit: nothing is computed then. */
void control_show_writeback_rate_debug(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;
	const struct writeback *writeback = &volume->writeback;
	bool is_controlled = has_rate(volume) && !writeback_is_unlimited(writeback);
	const struct writeback_rate none = { .sectors_per_second = 0 };
	const struct writeback_rate *rate = is_controlled ? &writeback->rate : &none;
	uint64_t now = clock_ns(volume->reactor);
	int64_t next_ns = is_controlled && rate->next_ns ? (int64_t)(rate->next_ns - now) : 0;

	print_sectors(text, "rate:\t\t", has_rate(volume) ? writeback_current_rate(writeback) : 0,
		      "/sec");
	print_sectors(text, "dirty:\t\t", volume_dirty_bytes(volume) / SECTOR_BYTES, "");
	print_sectors(text, "target:\t\t", volume->set ? writeback_target_of(volume) : 0, "");
	print_sectors(text, "proportional:\t", rate->proportional, "");
	print_sectors(text, "integral:\t", rate->integral, "");
	print_sectors(text, "change:\t\t", rate->change, "/sec");
	text_print(text, "next io:\t%lldms\n", (long long)(next_ns / NS_PER_MS));
}

/*
 * sys/block/bcacheN/bcache/ of a flash-only volume.
 *
 * As in the kernel, `unregister` destroys the volume, and a volume stops with its set only.
 */
#include "control/control.h"

#include "base/units.h"

enum { SECTOR_BYTES = 512 };

static void show_size(const struct control_subject *subject, struct text *text)
{
	text_size(text, subject->volume->sectors * SECTOR_BYTES);
}

static int store_size(struct control_store *store)
{
	uint64_t bytes;
	int error = units_parse_size(store->text, &bytes);

	if (!error)
		volume_resize(store->subject.volume, bytes / SECTOR_BYTES, &store->error,
			      &store->op);
	return error;
}

static int store_unregister(struct control_store *store)
{
	volume_destroy(store->subject.volume, &store->error, &store->op);
	return 0;
}

const struct control_file control_flash_files[] = {
	{ "history", 0444 | CONTROL_LONG, control_show_history, NULL,
	  "the last hour as a table, a line for each 13.6 seconds: dirty data, bytes and "
	  "requests by the way they went, with their average latencies" },
	{ "label", 0644, control_show_label, control_store_label, "label of up to 31 bytes" },
	{ "size", 0644, show_size, store_size,
	  "size of the volume, in whole blocks of the set; data behind a new end are removed" },
	{ "unregister", 0200, NULL, store_unregister,
	  "any text: destroys the volume with its data, once its last user has closed it" },
	{ 0 },
};

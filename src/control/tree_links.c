/*
 * The targets of the links in the tree: relative paths, the same as in the kernel's sysfs.
 *
 * They are relative, so that they also hold for whoever sees the mount at another path (a
 * container, a bind mount).  Nothing is printed where there is nothing to lead to; tree_link()
 * makes that -ENOENT.
 */
#include "control/tree_internal.h"

/* From by-uuid/ and by-label/. */
void tree_target_volume(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../%s", subject->volume->name);
}

/* One level more, if the member is a partition: its directory is inside that of its disk. */
static const char *up_from(const struct control_subject *subject, const struct device *device)
{
	return tree_disk_of(subject->daemon, device) ? "../" : "";
}

/* "sdb", "sda/sda3". */
static void print_member(const struct control_subject *subject, const struct device *device,
			 const char *name, struct text *text)
{
	const struct device_disk *disk = tree_disk_of(subject->daemon, device);

	text_print(text, disk ? "%s/" : "%s", disk ? disk->name : "");
	text_print(text, "%s", name);
}

/* From block/, where a partition is listed beside its disk. */
void tree_target_member_backing(const struct control_subject *subject, struct text *text)
{
	print_member(subject, subject->volume->backing, subject->volume->member_name, text);
}

void tree_target_member_device(const struct control_subject *subject, struct text *text)
{
	print_member(subject, subject->set->cache.device, subject->set->cache.member_name, text);
}

/* From the directory of a set: bdevN, volumeN. */
void tree_target_of_set_volume(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;

	text_print(text, "../../../block/");
	if (volume->is_flash)
		text_print(text, "%s", volume->name);
	else
		tree_target_member_backing(subject, text);
	text_print(text, "/bcache");
}

void tree_target_of_set_device(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../../block/");
	tree_target_member_device(subject, text);
	text_print(text, "/bcache");
}

/* From block/bcacheN/slaves/. */
void tree_target_backing(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../");
	tree_target_member_backing(subject, text);
}

void tree_target_device(const struct control_subject *subject, struct text *text)
{
	if (!subject->set)
		return;
	text_print(text, "../../");
	tree_target_member_device(subject, text);
}

/* From block/bcacheN/. */
void tree_target_backing_bcache(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../");
	tree_target_member_backing(subject, text);
	text_print(text, "/bcache");
}

/* From the directories bcache/ and holders/ of a member. */
void tree_target_block_volume(const struct control_subject *subject, struct text *text)
{
	text_print(text, "%s../../%s", up_from(subject, subject->volume->backing),
		   subject->volume->name);
}

void tree_target_device_holder(const struct control_subject *subject, struct text *text)
{
	if (subject->set)
		text_print(text, "%s../../%s", up_from(subject, subject->set->cache.device),
			   subject->volume->name);
}

/* From the directory bcache/ of a member, or of a flash-only volume. */
void tree_target_set(const struct control_subject *subject, struct text *text)
{
	const struct volume *volume = subject->volume;
	char name[40];

	if (subject->set)
		text_print(text, "%s../../../fs/bcache/%s",
			   up_from(subject, volume ? volume->backing : subject->set->cache.device),
			   set_name(subject->set, name));
}

/* From class/block/ and dev/block/. */
void tree_target_any_volume(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/%s", subject->volume->name);
}

void tree_target_any_backing(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/");
	tree_target_member_backing(subject, text);
}

void tree_target_any_device(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/");
	tree_target_member_device(subject, text);
}

void tree_target_any_disk(const struct control_subject *subject, struct text *text)
{
	text_print(text, "../../block/%s", subject->disk->name);
}

/*
 * The JSON lines of `dump`.  Numbers of keys are those on disk: sectors of the backing device.
 */
#include <string.h>

#include "base/units.h"
#include "tools/dump.h"
#include "tools/json.h"

static struct json line_begin(const char *type)
{
	struct json json;

	json_start_line(&json, stdout);
	json_open_object(&json, NULL);
	json_string(&json, "type", type);
	return json;
}

static void line_end(struct json *json)
{
	json_close_object(json);
	json_end(json);
}

void dump_print_head(void)
{
	struct json json;

	json_start_line(&json, stdout);
	json_open_object(&json, NULL);
	json_command(&json, "dump");
	line_end(&json);
}

static void print_uuid(struct json *json, struct dump *dump, const char *name,
		       const uint8_t uuid[16])
{
	uint8_t copy[16];
	char text[40];

	memcpy(copy, uuid, sizeof(copy));
	scramble_uuid(&dump->scramble, copy);
	json_string(json, name, units_print_uuid(text, copy));
}

static void print_geometry(struct json *json, const struct superblock *sb)
{
	if (superblock_is_backing(sb)) {
		json_number(json, "data_offset_sectors", sb->data_offset);
		json_number(json, "state", superblock_state(sb));
		return;
	}
	json_number(json, "buckets", sb->buckets);
	json_number(json, "bucket_sectors", sb->bucket_sectors);
	json_number(json, "first_bucket", sb->first_bucket);
	json_open_array(json, "journal_buckets");
	for (unsigned i = 0; i < sb->journal_buckets; i++)
		json_number(json, NULL, sb->journal_bucket[i]);
	json_close_array(json);
}

void dump_print_member(struct dump *dump, const struct check_member *member)
{
	const struct superblock *sb = &member->sb;
	char label[SUPERBLOCK_LABEL_BYTES + 1];
	struct json json;

	if (!member->is_known)
		return;
	memcpy(label, sb->label, sizeof(label));
	scramble_label(&dump->scramble, (uint8_t *)label, SUPERBLOCK_LABEL_BYTES);
	json = line_begin("superblock");
	json_number(&json, "member", member - dump->check.member);
	json_string(&json, "kind", superblock_is_backing(sb) ? "backing" : "cache");
	print_uuid(&json, dump, "uuid", sb->uuid);
	print_uuid(&json, dump, "set", sb->set_uuid);
	json_string(&json, "label", label);
	json_number(&json, "version", sb->version);
	json_number(&json, "flags", sb->flags);
	json_number(&json, "sequence", sb->sequence);
	json_number(&json, "last_mount", sb->last_mount);
	json_number(&json, "block_sectors", sb->block_sectors);
	print_geometry(&json, sb);
	line_end(&json);
}

/* ---- the set ---- */

static void print_pointer(struct json *json, const struct check *check, const struct bkey *k)
{
	unsigned bucket_sectors = check->cache->sb.bucket_sectors;

	if (!bkey_pointers(k))
		return;
	json_number(json, "device", pointer_device(k->ptr));
	json_number(json, "bucket", pointer_sector(k->ptr) / bucket_sectors);
	json_number(json, "offset_sectors", pointer_sector(k->ptr) % bucket_sectors);
	json_number(json, "generation", pointer_generation(k->ptr));
}

static void print_key(struct json *json, const struct check *check, const struct bkey *k)
{
	json_number(json, "volume", bkey_volume(k));
	json_number(json, "start_sectors", bkey_start(k));
	json_number(json, "length_sectors", bkey_sectors(k));
	json_bool(json, "dirty", bkey_is_dirty(k));
	print_pointer(json, check, k);
}

/* A place of metadata, which an entry names. */
static void print_slot(struct json *json, const struct check *check, const char *name,
		       const struct bkey_slot_disk *slot)
{
	struct bkey k;

	if (!bkey_slot_decode(&k, slot))
		return;
	json_open_object(json, name);
	print_pointer(json, check, &k);
	json_number(json, "length_sectors", bkey_sectors(&k));
	json_close_object(json);
}

static void print_keys(struct json *json, const struct check *check,
		       const struct journal_entry_disk *entry)
{
	unsigned words = le32_get(entry->words);
	struct bkey k;

	json_open_array(json, "keys");
	for (unsigned at = 0, taken; at < words; at += taken) {
		taken = bkey_decode(&k, entry->keys + at, words - at);
		if (!taken)
			break;
		json_open_object(json, NULL);
		print_key(json, check, &k);
		json_close_object(json);
	}
	json_close_array(json);
}

void dump_print_entry(struct check_watch *watch, const struct check *check,
		      const struct journal_entry_disk *entry)
{
	const struct dump *dump = container_of(watch, struct dump, watch);
	struct json json;

	if (!dump->journal)
		return;
	json = line_begin("journal_entry");
	json_number(&json, "sequence", le64_get(entry->sequence));
	json_number(&json, "last_sequence", le64_get(entry->last_sequence));
	json_number(&json, "level", le16_get(entry->btree_level));
	print_slot(&json, check, "root", &entry->btree_root);
	print_slot(&json, check, "uuids", &entry->uuid_bucket);
	json_number(&json, "priorities_bucket",
		    le64_get(entry->prio_bucket[check->cache->sb.member]));
	print_keys(&json, check, entry);
	line_end(&json);
}

void dump_print_node(struct check_watch *watch, const struct check *check,
		     const struct check_node *node)
{
	const struct dump *dump = container_of(watch, struct dump, watch);
	struct json json;

	if (!dump->index)
		return;
	json = line_begin("node");
	json_number(&json, "level", node->level);
	print_pointer(&json, check, &node->key);
	json_number(&json, "length_sectors", bkey_sectors(&node->key));
	json_number(&json, "end_volume", bkey_volume(&node->key));
	json_number(&json, "end_sectors", bkey_end(&node->key));
	json_number(&json, "keys", node->keys);
	line_end(&json);
}

void dump_print_extent(struct check_watch *watch, const struct check *check, const struct bkey *k)
{
	const struct dump *dump = container_of(watch, struct dump, watch);
	struct json json;

	if (!dump->extents)
		return;
	json = line_begin("extent");
	print_key(&json, check, k);
	line_end(&json);
}

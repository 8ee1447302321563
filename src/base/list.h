/*
 * Intrusive doubly linked lists.
 *
 * (LIST-1) A link is in one list at a time; list_linked() tells whether it is in one.  A
 *     link that is all zero is not linked, so zeroed memory needs no initialization.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct list_link {
	struct list_link *next;
	struct list_link *prev;
};

struct list {
	struct list_link head;
};

static inline void list_init(struct list *list)
{
	list->head.next = list->head.prev = &list->head;
}

static inline bool list_empty(const struct list *list)
{
	return list->head.next == &list->head;
}

static inline bool list_linked(const struct list_link *link)
{
	return link->next != NULL;
}

static inline void list_insert_after(struct list_link *where, struct list_link *link)
{
	assert(!list_linked(link));	/* LIST-1 */
	link->prev = where;
	link->next = where->next;
	where->next->prev = link;
	where->next = link;
}

static inline void list_add_first(struct list *list, struct list_link *link)
{
	list_insert_after(&list->head, link);
}

static inline void list_add_last(struct list *list, struct list_link *link)
{
	list_insert_after(list->head.prev, link);
}

static inline void list_remove(struct list_link *link)
{
	assert(list_linked(link));	/* LIST-1 */
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = link->prev = NULL;
}

/* The first, the next link; NULL if there is none. */
static inline struct list_link *list_first(const struct list *list)
{
	return list_empty(list) ? NULL : list->head.next;
}

static inline struct list_link *list_next(const struct list *list, const struct list_link *link)
{
	return link->next == &list->head ? NULL : link->next;
}

static inline struct list_link *list_take_first(struct list *list)
{
	struct list_link *link = list_first(list);

	if (link)
		list_remove(link);
	return link;
}

/* Appends all links of `from` to `to`, and empties `from`. */
static inline void list_take_all(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->head.next->prev = to->head.prev;
	from->head.prev->next = &to->head;
	to->head.prev->next = from->head.next;
	to->head.prev = from->head.prev;
	list_init(from);
}

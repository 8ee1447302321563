/* Lists: order, taking, joining. */
#include "base/list.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum { LINKS = 4 };

struct fixture {
	struct list list;
	struct list_link links[LINKS];
};

static void fill(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	list_init(&f->list);
	for (int i = 0; i < LINKS; i++)
		list_add_last(&f->list, &f->links[i]);
}

static void expect_order(const struct list *list, const struct list_link *links, const char *order)
{
	const struct list_link *link = list_first(list);

	for (; *order; order++, link = list_next(list, link))
		cr_assert(eq(ptr, (void *)link, (void *)(links + (*order - '0'))));
	cr_expect(link == NULL);
}

Test(list, is_empty_at_first)
{
	struct list list;

	list_init(&list);
	cr_expect(list_empty(&list));
	cr_expect(list_first(&list) == NULL);
	cr_expect(list_take_first(&list) == NULL);
}

Test(list, keeps_the_order_in_which_links_were_added)
{
	struct fixture f;

	fill(&f);
	expect_order(&f.list, f.links, "0123");
}

Test(list, takes_new_links_at_both_ends)
{
	struct fixture f = { 0 };

	list_init(&f.list);
	list_add_first(&f.list, &f.links[1]);
	list_add_first(&f.list, &f.links[0]);
	list_add_last(&f.list, &f.links[2]);
	list_insert_after(&f.links[1], &f.links[3]);
	expect_order(&f.list, f.links, "0132");
}

Test(list, loses_a_link_from_anywhere)
{
	struct fixture f;

	fill(&f);
	list_remove(&f.links[1]);
	expect_order(&f.list, f.links, "023");
	list_remove(&f.links[3]);
	list_remove(&f.links[0]);
	expect_order(&f.list, f.links, "2");
	list_remove(&f.links[2]);
	cr_expect(list_empty(&f.list));
}

Test(list, link_knows_whether_it_is_in_one)
{
	struct fixture f = { 0 };

	list_init(&f.list);
	cr_expect(not(list_linked(&f.links[0])));
	list_add_last(&f.list, &f.links[0]);
	cr_expect(list_linked(&f.links[0]));
	cr_expect(list_take_first(&f.list) == &f.links[0]);
	cr_expect(not(list_linked(&f.links[0])));
}

Test(list, takes_all_of_another_behind_its_own)
{
	struct list_link own = { 0 };
	struct fixture f;
	struct list list;

	fill(&f);
	list_init(&list);
	list_add_last(&list, &own);
	list_take_all(&list, &f.list);
	cr_expect(list_empty(&f.list));
	cr_expect(list_take_first(&list) == &own);
	expect_order(&list, f.links, "0123");
}

Test(list, takes_nothing_from_an_empty_one)
{
	struct list nothing;
	struct fixture f;

	fill(&f);
	list_init(&nothing);
	list_take_all(&f.list, &nothing);
	expect_order(&f.list, f.links, "0123");
}

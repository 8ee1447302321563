/*
 * Shows the pages of top on a terminal, and takes keys.
 *
 * The screen is drawn anew from the text of the page, whatever its size; what is wider is cut.
 */
#include "tools/top.h"

#ifdef HAVE_NCURSESW

#include <curses.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/numbers.h"
#include "tools/interrupt.h"
#include "tools/tools.h"

const bool top_has_screen = true;

enum { NS_PER_MS = 1000000 };

struct screen {
	struct top *top;
	struct interrupt interrupt;
	enum top_page page;
	unsigned interval_ms;
	bool is_paused, shows_help, is_ended;
};

static const char help_text[] =
	"Tab    next page: volumes, cache, latencies\n"
	"1-9    seconds between two readings\n"
	"s      sort by name, requests, dirty data\n"
	"space  pause, go on\n"
	"h      this help, and back\n"
	"q      quit\n";

static void draw_text(const char *text)
{
	int row = 2, first = row;

	while (*text && row < LINES) {
		int length = strcspn(text, "\n");

		if (row == first)
			attron(A_BOLD);
		mvaddnstr(row++, 0, text, length);
		attroff(A_BOLD);
		text += length + (text[length] == '\n');
	}
}

static void draw_page(const struct screen *screen)
{
	autofree char *text = NULL;
	size_t bytes;
	FILE *memory = open_memstream(&text, &bytes);

	if (!memory)
		return;
	top_print_page(screen->top, screen->page, memory);
	fclose(memory);
	draw_text(text);
}

static void draw(const struct screen *screen)
{
	static const char *const pages[TOP_PAGES] = { "volumes", "cache", "latencies" };
	static const char *const orders[TOP_ORDERS] = { "name", "requests", "dirty data" };

	erase();
	attron(A_REVERSE);
	mvprintw(0, 0, "%-*.*s", COLS, COLS, "");
	mvprintw(0, 0, "bcachefuse top  %s  %s  every %.1f s  by %s%s  (h: help)",
		 screen->top->directory, pages[screen->page], screen->interval_ms / 1e3,
		 orders[screen->top->order], screen->is_paused ? "  PAUSED" : "");
	attroff(A_REVERSE);
	if (screen->shows_help)
		draw_text(help_text);
	else
		draw_page(screen);
	refresh();
}

static void take_key(struct screen *screen, int key)
{
	switch (key) {
	case 'q':
		screen->is_ended = true;
		return;
	case '\t':
		screen->page = (screen->page + 1) % TOP_PAGES;
		return;
	case ' ':
		screen->is_paused = !screen->is_paused;
		return;
	case 'h':
	case '?':
		screen->shows_help = !screen->shows_help;
		return;
	case 's':
		screen->top->order = (screen->top->order + 1) % TOP_ORDERS;
		return;
	}
	if (key >= '1' && key <= '9')
		screen->interval_ms = (key - '0') * 1000;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* Until the next reading is due; keys are answered meanwhile. */
static void wait_for_keys(struct screen *screen)
{
	enum { LOOK_MS = 200 };		/* for signals, and for a new interval */

	while (!screen->is_ended) {
		uint64_t passed_ms = (now_ns() - screen->top->now_ns) / NS_PER_MS;
		int key;

		if (!screen->is_paused && passed_ms >= screen->interval_ms)
			return;
		timeout(screen->is_paused ? LOOK_MS :
			(int)min_u64(screen->interval_ms - passed_ms, LOOK_MS));
		key = getch();
		interrupt_look(&screen->interrupt);
		screen->is_ended |= screen->interrupt.is_stopped;
		if (key == ERR)
			continue;
		take_key(screen, key);
		draw(screen);
	}
}

static int run(struct screen *screen, unsigned rounds, struct error *error)
{
	int result = 0;

	for (unsigned round = 0; !screen->is_ended && !result; round++) {
		draw(screen);
		if (rounds && round == rounds)
			break;
		wait_for_keys(screen);
		if (!screen->is_ended)
			result = top_take(screen->top, error);
	}
	return result;
}

int top_screen(struct top *top, unsigned interval_ms, unsigned rounds)
{
	struct screen screen = { .top = top, .interval_ms = interval_ms };
	struct error error = { 0 };
	SCREEN *terminal;
	int result;

	terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		tool_complain("top", "this terminal is not known; --once works everywhere");
		return TOOL_REFUSED;
	}
	interrupt_begin(&screen.interrupt);
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, true);
	result = run(&screen, rounds, &error);
	endwin();
	delscreen(terminal);
	interrupt_end(&screen.interrupt);
	if (!result)
		return TOOL_DONE;
	tool_complain("top", "%s", error.text);
	return TOOL_REFUSED;
}

#else

#include "base/compiler.h"
#include "tools/tools.h"

const bool top_has_screen = false;

int top_screen(struct top *top UNUSED, unsigned interval_ms UNUSED, unsigned rounds UNUSED)
{
	tool_complain("top", "this build has no ncursesw, which the screen needs; --once and "
		      "--json work");
	return TOOL_REFUSED;
}

#endif

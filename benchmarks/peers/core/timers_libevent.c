/* Timers over libevent: many are added, each is moved later, all fire.
 *
 *   timers_libevent [-n timers] [-r runs]
 *
 * Timed: making and adding them; moving each; and, once all are due, one pass that calls them all. The delays are
 * those of timers_evkit.py.
 */
#include <event2/event.h>

#include <unistd.h>

#include "stopwatch.h"

enum { ADD, MOVE, FIRE, SECTIONS };

static const char *const NAMES[SECTIONS] = {"add", "move", "fire"};
static const double STEP = 5e-6; /* seconds between two deadlines */
static const double SLACK = 0.02; /* libevent reads a clock that ticks every 4 ms */
static const long STRIDE = 7919; /* a prime, so that the deadlines come in no order */

static long timers = 100000, fired;

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	fired++;
}

static void add(struct event *event, double delay)
{
	struct timeval timeout;
	timeout.tv_sec = (time_t)delay;
	timeout.tv_usec = (suseconds_t)((delay - timeout.tv_sec) * 1e6);
	event_add(event, &timeout);
}

static double delay_of(long number)
{
	return number * STRIDE % timers * STEP;
}

static void sleep_for(double seconds)
{
	struct timespec wait;
	wait.tv_sec = (time_t)seconds;
	wait.tv_nsec = (long)((seconds - wait.tv_sec) * 1e9);
	nanosleep(&wait, NULL);
}

static void run_once(struct event_base *base, struct stopwatch *watches)
{
	struct event **events = calloc(timers, sizeof(*events));
	double spread = timers * STEP;
	long i;

	fired = 0;
	stopwatch_start(&watches[ADD]);
	for (i = 0; i < timers; i++) {
		events[i] = evtimer_new(base, on_timeout, NULL);
		add(events[i], delay_of(i));
	}
	stopwatch_stop(&watches[ADD]);
	stopwatch_start(&watches[MOVE]);
	for (i = 0; i < timers; i++)
		add(events[i], delay_of(i) + spread);
	stopwatch_stop(&watches[MOVE]);
	sleep_for(2 * spread + SLACK);
	stopwatch_start(&watches[FIRE]);
	event_base_dispatch(base);
	stopwatch_stop(&watches[FIRE]);
	for (i = 0; i < timers; i++)
		event_free(events[i]);
	free(events);
}

int main(int argc, char **argv)
{
	struct event_base *base;
	struct stopwatch watches[SECTIONS];
	int i, option, runs = 5;
	while ((option = getopt(argc, argv, "n:r:")) != -1) {
		switch (option) {
		case 'n': timers = atol(optarg); break;
		case 'r': runs = atoi(optarg); break;
		default: return 2;
		}
	}
	base = event_base_new();
	for (i = 0; i < SECTIONS; i++)
		stopwatch_init(&watches[i], NAMES[i], runs);
	for (i = 0; i < runs; i++)
		run_once(base, watches);
	print_report(fired, watches, SECTIONS);
	return 0;
}

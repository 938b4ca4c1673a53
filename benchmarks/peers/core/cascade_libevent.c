/* bench_cascade over libevent: one byte that falls down a chain of pairs of sockets, a one-shot read event with a
 * time-out of 60 s on each.
 *
 *   cascade_libevent [-n pairs] [-r runs]
 *
 * Timed, as in the program of that name that ships with libevent: making and adding all events, and the fall; not the
 * sockets.
 */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/util.h>

#include <sys/socket.h>
#include <unistd.h>

#include "stopwatch.h"

struct pair {
	evutil_socket_t ends[2];
	struct event event;
};

static struct pair *pairs;
static int pair_count = 1000, runs = 25, fired;

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	char byte;
	struct pair *next = arg;
	(void)what;
	recv(fd, &byte, 1, 0);
	if (next)
		send(next->ends[1], "e", 1, 0);
	fired++;
}

static void cascade(struct event_base *base, struct stopwatch *watch)
{
	const struct timeval timeout = {60, 0};
	int i;
	fired = 0;
	stopwatch_start(watch);
	for (i = 0; i < pair_count; i++) {
		struct pair *next = i + 1 < pair_count ? &pairs[i + 1] : NULL;
		event_assign(&pairs[i].event, base, pairs[i].ends[0], EV_READ, on_readable, next);
		event_add(&pairs[i].event, &timeout);
	}
	send(pairs[0].ends[1], "e", 1, 0);
	event_base_dispatch(base);
	stopwatch_stop(watch);
}

static int run_once(struct event_base *base, struct stopwatch *watch)
{
	int i;
	pairs = calloc(pair_count, sizeof(*pairs));
	for (i = 0; i < pair_count; i++) {
		if (evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i].ends) < 0) {
			perror("socketpair");
			return 1;
		}
		evutil_make_socket_nonblocking(pairs[i].ends[0]);
		evutil_make_socket_nonblocking(pairs[i].ends[1]);
	}
	cascade(base, watch);
	for (i = 0; i < pair_count; i++) {
		close(pairs[i].ends[0]);
		close(pairs[i].ends[1]);
	}
	free(pairs);
	return 0;
}

int main(int argc, char **argv)
{
	struct event_base *base;
	struct stopwatch watch;
	int i, option;
	while ((option = getopt(argc, argv, "n:r:")) != -1) {
		switch (option) {
		case 'n': pair_count = atoi(optarg); break;
		case 'r': runs = atoi(optarg); break;
		default: return 2;
		}
	}
	base = event_base_new();
	stopwatch_init(&watch, "cascade", runs);
	for (i = 0; i < runs; i++)
		if (run_once(base, &watch))
			return 1;
	print_report(fired, &watch, 1);
	return 0;
}

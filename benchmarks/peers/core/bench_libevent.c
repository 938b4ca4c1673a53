/* bench over libevent: bytes that travel along pairs of sockets, each read event passing one on to the next pair.
 *
 *   bench_libevent [-n pairs] [-a active] [-w writes] [-r runs]
 *
 * Timed, as in the program of that name that ships with libevent: from the first pass of the loop, with the first
 * bytes written, to the last byte read.
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
static int pair_count = 1000, active = 100, writes = 20000, runs = 25;
static int received, sent, left;

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	char byte;
	long next = (long)arg + 1;
	(void)what;
	received += recv(fd, &byte, 1, 0);
	if (left) {
		if (next == pair_count)
			next = 0;
		send(pairs[next].ends[1], "e", 1, 0);
		left--;
		sent++;
	}
}

static void add_all(struct event_base *base)
{
	long i;
	for (i = 0; i < pair_count; i++) {
		if (event_initialized(&pairs[i].event))
			event_del(&pairs[i].event);
		event_assign(&pairs[i].event, base, pairs[i].ends[0], EV_READ | EV_PERSIST, on_readable, (void *)i);
		event_add(&pairs[i].event, NULL);
	}
}

static void run_once(struct event_base *base, struct stopwatch *watch)
{
	int i, space = pair_count / active;
	add_all(base);
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	received = sent = 0;
	left = writes;
	for (i = 0; i < active; i++, sent++)
		send(pairs[i * space].ends[1], "e", 1, 0);
	stopwatch_start(watch);
	do
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	while (received != sent);
	stopwatch_stop(watch);
}

int main(int argc, char **argv)
{
	struct event_base *base;
	struct stopwatch watch;
	int i, option;
	while ((option = getopt(argc, argv, "n:a:w:r:")) != -1) {
		switch (option) {
		case 'n': pair_count = atoi(optarg); break;
		case 'a': active = atoi(optarg); break;
		case 'w': writes = atoi(optarg); break;
		case 'r': runs = atoi(optarg); break;
		default: return 2;
		}
	}
	base = event_base_new();
	stopwatch_init(&watch, "dispatch", runs);
	pairs = calloc(pair_count, sizeof(*pairs));
	for (i = 0; i < pair_count; i++) {
		if (evutil_socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i].ends) < 0) {
			perror("socketpair");
			return 1;
		}
		evutil_make_socket_nonblocking(pairs[i].ends[0]);
		evutil_make_socket_nonblocking(pairs[i].ends[1]);
	}
	for (i = 0; i < runs; i++)
		run_once(base, &watch);
	print_report(received, &watch, 1);
	return 0;
}

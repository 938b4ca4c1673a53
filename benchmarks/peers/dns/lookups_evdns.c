/* Look-ups by libevent's evdns, each made by the callback of the one before.
 *
 *   lookups_evdns --port PORT [-n LOOKUPS] [-c IN_FLIGHT] [-r RUNS]
 *
 * Its defaults but for max-inflight, which is 64: as many as are wanted in flight. */
#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/stopwatch.h"

#define WARM_UP 500

static struct event_base *base;
static struct evdns_base *dns;
static long next_number, left, returned, wanted;

static void ask(void);

static void on_answer(int result, char type, int count, int ttl, void *addresses, void *arg)
{
	long number = (long)arg;
	unsigned expected = 10u << 24 | (unsigned)number;
	(void)ttl;
	if (result != DNS_ERR_NONE || type != DNS_IPv4_A || count != 1 ||
	    ntohl(*(unsigned *)addresses) != expected) {
		fprintf(stderr, "h%ld.bench.test: %s\n", number,
		    result ? evdns_err_to_string(result) : "another address");
		exit(1);
	}
	returned++;
	if (left)
		ask();
	else if (returned == wanted)
		event_base_loopbreak(base);
}

static void ask(void)
{
	char name[32];
	long number = next_number++;
	left--;
	snprintf(name, sizeof name, "h%ld.bench.test", number);
	if (!evdns_base_resolve_ipv4(dns, name, DNS_QUERY_NO_SEARCH, on_answer, (void *)number)) {
		fprintf(stderr, "%s can't be asked for\n", name);
		exit(1);
	}
}

static long look_up(long count, long in_flight)
{
	long i;
	left = wanted = count;
	returned = 0;
	for (i = 0; i < in_flight && left; i++)
		ask();
	event_base_dispatch(base);
	return returned;
}

static long option(int argc, char **argv, const char *name, long value)
{
	int i;
	for (i = 1; i + 1 < argc; i += 2)
		if (!strcmp(argv[i], name))
			value = atol(argv[i + 1]);
	return value;
}

int main(int argc, char **argv)
{
	long count = option(argc, argv, "-n", 10000), in_flight = option(argc, argv, "-c", 100);
	long runs = option(argc, argv, "-r", 1), done = 0, i;
	char most[16];
	struct stopwatch watch;
	struct sockaddr_in server;

	memset(&server, 0, sizeof server);
	server.sin_family = AF_INET;
	server.sin_port = htons((unsigned short)option(argc, argv, "--port", 5301));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	snprintf(most, sizeof most, "%ld", in_flight);
	base = event_base_new();
	dns = evdns_base_new(base, 0);
	evdns_base_set_option(dns, "max-inflight:", most);
	evdns_base_nameserver_sockaddr_add(dns, (struct sockaddr *)&server, sizeof server, 0);

	look_up(WARM_UP, in_flight);
	stopwatch_init(&watch, "lookups", (int)runs);
	for (i = 0; i < runs; i++) {
		stopwatch_start(&watch);
		done = look_up(count, in_flight);
		stopwatch_stop(&watch);
	}
	print_report(done, &watch, 1);
	evdns_base_free(dns, 0);
	event_base_free(base);
	return 0;
}

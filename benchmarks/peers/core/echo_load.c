/* The load of the echo servers, the same for all: each connection sends a message, waits until it came back whole and
 * right, and sends the next. It uses no library, so that it costs as little as can be.
 *
 *   echo_load [-c connections] [-s bytes] [-m messages] PORT
 *
 * Prints one line of JSON: how many messages came back, and the seconds that took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

struct connection {
	int fd;
	long left;       /* messages to send yet */
	size_t received; /* bytes of the one under way */
	char *reply;
};

static int connections = 64;
static size_t size = 1024;
static long messages = 100000, returned;
static char *message;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void open_connection(struct connection *connection, int port)
{
	struct sockaddr_in address;
	int yes = 1;
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = htons((unsigned short)port);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	connection->reply = malloc(size);
	connection->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

static void send_next(struct connection *connection)
{
	if (!connection->left)
		return;
	connection->left--;
	connection->received = 0;
	/* The whole message was received before the next goes out, so it always finds room. */
	if (send(connection->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("send");
}

static void receive(struct connection *connection)
{
	ssize_t got = recv(connection->fd, connection->reply + connection->received, size - connection->received,
	    MSG_DONTWAIT);
	if (got < 0 && errno == EAGAIN)
		return;
	if (got <= 0)
		die("recv");
	connection->received += got;
	if (connection->received < size)
		return;
	if (memcmp(connection->reply, message, size) != 0) {
		fprintf(stderr, "a message came back changed\n");
		exit(1);
	}
	returned++;
	send_next(connection);
}

static void start(int poll, struct connection *all, int port)
{
	int i;
	for (i = 0; i < connections; i++) {
		struct epoll_event event;
		event.events = EPOLLIN;
		event.data.ptr = &all[i];
		open_connection(&all[i], port);
		all[i].left = messages / connections + (i < messages % connections);
		epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
	}
	for (i = 0; i < connections; i++)
		send_next(&all[i]);
}

static void run(int port)
{
	struct connection *all = calloc(connections, sizeof(*all));
	struct epoll_event *ready = calloc(connections, sizeof(*ready));
	int i, count, poll = epoll_create1(0);
	start(poll, all, port);
	while (returned < messages) {
		count = epoll_wait(poll, ready, connections, 10000);
		if (count <= 0) {
			fprintf(stderr, "no reply within 10 s\n");
			exit(1);
		}
		for (i = 0; i < count; i++)
			receive(ready[i].data.ptr);
	}
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int option;
	size_t i;
	double started;
	while ((option = getopt(argc, argv, "c:s:m:")) != -1) {
		switch (option) {
		case 'c': connections = atoi(optarg); break;
		case 's': size = strtoul(optarg, NULL, 10); break;
		case 'm': messages = atol(optarg); break;
		default: return 2;
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "usage: %s [-c connections] [-s bytes] [-m messages] PORT\n", argv[0]);
		return 2;
	}
	message = malloc(size);
	for (i = 0; i < size; i++)
		message[i] = (char)i;
	started = now();
	run(atoi(argv[optind]));
	printf("{\"count\": %ld, \"wall\": %.9f}\n", returned, now() - started);
	return 0;
}

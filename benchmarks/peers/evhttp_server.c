/* libevent's evhttp, doing the work of the benchmark: a small reply at /, one file at /file.bin.
 *
 *   evhttp_server PORT FILE      serve on 127.0.0.1
 *   evhttp_server --version      print libevent's version
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char HELLO[] = "Hello, world!";

/* Content-Length and Date come from evhttp itself. */
static void reply(struct evhttp_request *req, struct evbuffer *body, const char *type)
{
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
	evhttp_send_reply(req, HTTP_OK, "OK", body);
	evbuffer_free(body);
}

static void on_hello(struct evhttp_request *req, void *arg)
{
	struct evbuffer *body = evbuffer_new();
	(void)arg;
	evbuffer_add(body, HELLO, sizeof(HELLO) - 1);
	reply(req, body, "text/plain");
}

/* Opened anew for each request, as nginx and Go do by default. */
static void on_file(struct evhttp_request *req, void *arg)
{
	struct stat info;
	struct evbuffer *body;
	int fd = open(arg, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0) {
		if (fd >= 0)
			close(fd);
		evhttp_send_error(req, HTTP_NOTFOUND, NULL);
		return;
	}
	body = evbuffer_new();
	/* Without this flag evbuffer_add_file maps the file into memory, and head and body go out as two writes that
	 * meet a delayed acknowledgement: a twelfth of the requests a second. With it the bytes go by sendfile. */
	evbuffer_set_flags(body, EVBUFFER_FLAG_DRAINS_TO_FD);
	evbuffer_add_file(body, fd, 0, info.st_size);
	reply(req, body, "application/octet-stream");
}

int main(int argc, char **argv)
{
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct sockaddr_in address;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts(event_get_version());
		return 0;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: %s PORT FILE | --version\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	memset(&address, 0, sizeof(address));
	address.sin_family = AF_INET;
	address.sin_port = htons((unsigned short)atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

	base = event_base_new();
	http = evhttp_new(base);
	evhttp_set_cb(http, "/", on_hello, NULL);
	evhttp_set_cb(http, "/file.bin", on_file, argv[2]);
	/* evhttp_bind_socket would listen with a backlog of 128, which 1,024 connections at once overflow. */
	listener = evconnlistener_new_bind(base, NULL, NULL,
	    LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 1024,
	    (struct sockaddr *)&address, sizeof(address));
	if (listener == NULL || evhttp_bind_listener(http, listener) == NULL) {
		perror("bind");
		return 1;
	}
	return event_base_dispatch(base) < 0;
}

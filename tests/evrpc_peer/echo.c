/* An evrpc peer: "listen" says its port and serves calls of Echo; "connect PORT NAME NUMBER" makes one call.
 *
 * An Echo takes { string text = 1; int number = 2; } and answers with the same struct, "hello " before the text and 1
 * added to the number. The functions on struct echo are what event_rpcgen.py would generate: it is not in Debian's
 * package.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_compat.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/rpc.h>
#include <event2/rpc_struct.h>
#include <event2/tag.h>

struct echo {
	char *text;
	ev_uint32_t number;
	int has_number;
};

static struct event_base *base;

static void *echo_new(void *unused)
{
	(void)unused;
	return calloc(1, sizeof(struct echo));
}

static void echo_clear(void *echo)
{
	struct echo *it = echo;

	free(it->text);
	memset(it, 0, sizeof(*it));
}

static void echo_free(void *echo)
{
	echo_clear(echo);
	free(echo);
}

static int echo_complete(void *echo)
{
	struct echo *it = echo;

	return it->text && it->has_number ? 0 : -1;
}

static void echo_marshal(struct evbuffer *out, void *echo)
{
	struct echo *it = echo;

	evtag_marshal_string(out, 1, it->text);
	evtag_marshal_int(out, 2, it->number);
}

static int echo_unmarshal(void *echo, struct evbuffer *data)
{
	struct echo *it = echo;
	ev_uint32_t tag;

	while (evbuffer_get_length(data)) {
		if (evtag_peek(data, &tag) == -1)
			return -1;
		if (tag == 1 && !it->text) {
			if (evtag_unmarshal_string(data, tag, &it->text) == -1)
				return -1;
		} else if (tag == 2 && !it->has_number) {
			if (evtag_unmarshal_int(data, tag, &it->number) == -1)
				return -1;
			it->has_number = 1;
		} else
			return -1;
	}
	return echo_complete(it);
}

/* The server */

static void on_call(struct evrpc_req_generic *call, void *unused)
{
	struct echo *request = evrpc_get_request(call), *reply = evrpc_get_reply(call);
	size_t size = strlen(request->text) + sizeof("hello ");

	(void)unused;
	reply->text = malloc(size);
	snprintf(reply->text, size, "hello %s", request->text);
	reply->number = request->number + 1;
	reply->has_number = 1;
	evrpc_request_done(call);
}

static int serve(void)
{
	struct evhttp *http = evhttp_new(base);
	struct evhttp_bound_socket *socket = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	struct evrpc_base *rpc = evrpc_init(http);

	if (!socket || getsockname(evhttp_bound_socket_get_fd(socket), (struct sockaddr *)&address, &size))
		return 1;
	evrpc_register_generic(rpc, "Echo", on_call, NULL, echo_new, NULL, echo_free, echo_unmarshal,
	    echo_new, NULL, echo_free, echo_complete, echo_marshal);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return event_base_dispatch(base);
}

/* The client */

/* libevent's client sends HTTP/1.1 without a Host, which RFC 9112 has refused. */
static int add_host(void *context, struct evhttp_request *request, struct evbuffer *data, void *host)
{
	(void)context;
	(void)data;
	evhttp_add_header(evhttp_request_get_output_headers(request), "Host", host);
	return EVRPC_CONTINUE;
}

static void on_answer(struct evrpc_status *status, void *request, void *reply, void *unused)
{
	struct echo *it = reply;

	(void)request;
	(void)unused;
	if (status->error == EVRPC_STATUS_ERR_NONE)
		printf("%s %u\n", it->text, it->number);
	else
		printf("status %d\n", status->error);
	event_base_loopexit(base, NULL);
}

static int call(int port, char *text, int number)
{
	struct evrpc_pool *pool = evrpc_pool_new(base);
	struct echo request = {text, number, 1}, reply = {NULL, 0, 0};

	evrpc_add_hook(pool, EVRPC_OUTPUT, add_host, "127.0.0.1");
	evrpc_pool_set_timeout(pool, 20);
	evrpc_pool_add_connection(pool, evhttp_connection_base_new(NULL, NULL, "127.0.0.1", port));
	if (evrpc_send_request_generic(pool, &request, &reply, on_answer, NULL, "Echo", echo_marshal, echo_clear,
	    echo_unmarshal))
		return 1;
	event_base_dispatch(base);
	evrpc_pool_free(pool);
	echo_clear(&reply);
	return 0;
}

int main(int argc, char **argv)
{
	base = event_init(); /* A pool's connections are of the base that is current. */
	if (argc == 2 && !strcmp(argv[1], "listen"))
		return serve();
	if (argc == 5 && !strcmp(argv[1], "connect"))
		return call(atoi(argv[2]), argv[3], atoi(argv[4]));
	return 2;
}

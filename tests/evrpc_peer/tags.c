/* libevent's own event_tagging, for one request a line on standard input: the answer is one line, too.
 *
 * Data are in hexadecimal, "-" for none. What takes something apart tells what it found, and how many bytes are left;
 * "-1" is libevent's word for failure. "msg" takes a struct msg of libevent's test/regress.rpc apart and writes it
 * anew, as the code would that event_rpcgen.py generates: that program is not in Debian's package.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <event2/buffer.h>
#include <event2/tag.h>

/* Exported, and in no header. */
int evtag_encode_tag(struct evbuffer *, ev_uint32_t);
int evtag_decode_tag(ev_uint32_t *, struct evbuffer *);
int evtag_decode_int(ev_uint32_t *, struct evbuffer *);
int evtag_decode_int64(ev_uint64_t *, struct evbuffer *);

#define MAX_LINE 1048576
#define MAX_RUNS 1024

static char line[MAX_LINE];

static struct evbuffer *from_hex(const char *text)
{
	struct evbuffer *buffer = evbuffer_new();
	unsigned byte;

	for (; sscanf(text, "%2x", &byte) == 1; text += 2) {
		unsigned char one = byte;
		evbuffer_add(buffer, &one, 1);
	}
	return buffer;
}

static void put_hex(struct evbuffer *buffer)
{
	size_t size = evbuffer_get_length(buffer), i;
	unsigned char *data = evbuffer_pullup(buffer, -1);

	for (i = 0; i < size; i++)
		printf("%02x", data[i]);
	if (!size)
		printf("-");
}

/* struct msg */

struct kill {
	char *weapon, *action;
	ev_uint32_t how_often;
	int has_how_often;
};

struct msg {
	char *from_name, *to_name;
	struct kill attack;
	int has_attack;
	char *run[MAX_RUNS];
	int runs;
};

static int take_string(struct evbuffer *data, ev_uint32_t tag, char **text)
{
	return *text != NULL ? -1 : evtag_unmarshal_string(data, tag, text);
}

static int kill_unmarshal(struct kill *it, struct evbuffer *data)
{
	ev_uint32_t tag;
	int failed = 0;

	while (!failed && evbuffer_get_length(data)) {
		if (evtag_peek(data, &tag) == -1)
			return -1;
		if (tag == 0x10121)
			failed = take_string(data, tag, &it->weapon);
		else if (tag == 2)
			failed = take_string(data, tag, &it->action);
		else if (tag == 3 && !it->has_how_often++)
			failed = evtag_unmarshal_int(data, tag, &it->how_often) == -1;
		else
			failed = -1;
	}
	return failed || !it->weapon || !it->action ? -1 : 0;
}

static int run_unmarshal(char **how, struct evbuffer *data)
{
	ev_uint32_t tag;

	while (evbuffer_get_length(data)) {
		if (evtag_peek(data, &tag) == -1 || tag != 1 || take_string(data, tag, how))
			return -1;
	}
	return *how ? 0 : -1;
}

static int nested(struct msg *it, struct evbuffer *data, ev_uint32_t tag)
{
	struct evbuffer *inner = evbuffer_new();
	ev_uint32_t found;
	int failed = evtag_unmarshal(data, &found, inner) == -1;

	if (!failed && tag == 3)
		failed = it->has_attack++ || kill_unmarshal(&it->attack, inner);
	else if (!failed)
		failed = it->runs == MAX_RUNS || run_unmarshal(&it->run[it->runs++], inner);
	evbuffer_free(inner);
	return failed;
}

static int msg_unmarshal(struct msg *it, struct evbuffer *data)
{
	ev_uint32_t tag;
	int failed = 0;

	while (!failed && evbuffer_get_length(data)) {
		if (evtag_peek(data, &tag) == -1)
			return -1;
		if (tag == 1)
			failed = take_string(data, tag, &it->from_name);
		else if (tag == 2)
			failed = take_string(data, tag, &it->to_name);
		else
			failed = tag > 4 || tag < 3 || nested(it, data, tag);
	}
	return failed || !it->from_name || !it->to_name ? -1 : 0;
}

static void msg_marshal(struct evbuffer *out, struct msg *it)
{
	struct evbuffer *inner = evbuffer_new();
	int i;

	evtag_marshal_string(out, 1, it->from_name);
	evtag_marshal_string(out, 2, it->to_name);
	if (it->has_attack) {
		evtag_marshal_string(inner, 0x10121, it->attack.weapon);
		evtag_marshal_string(inner, 2, it->attack.action);
		if (it->attack.has_how_often)
			evtag_marshal_int(inner, 3, it->attack.how_often);
		evtag_marshal_buffer(out, 3, inner);
	}
	for (i = 0; i < it->runs; i++) {
		evtag_marshal_string(inner, 1, it->run[i]);
		evtag_marshal_buffer(out, 4, inner);
	}
	evbuffer_free(inner);
}

static int again(struct evbuffer *data, struct evbuffer *out)
{
	static struct msg it;
	int i, failed;

	memset(&it, 0, sizeof(it));
	failed = msg_unmarshal(&it, data);
	if (!failed)
		msg_marshal(out, &it);
	free(it.from_name);
	free(it.to_name);
	free(it.attack.weapon);
	free(it.attack.action);
	for (i = 0; i < it.runs; i++)
		free(it.run[i]);
	return failed;
}

/* The requests */

static int put_together(const char *what, ev_uint32_t tag, const char *value, struct evbuffer *out)
{
	struct evbuffer *data = from_hex(value);
	size_t size = evbuffer_get_length(data);
	ev_uint64_t number = strtoull(value, NULL, 10);
	struct timeval time = {number / 1000000, number % 1000000};
	int known = 1;

	evbuffer_add(data, "", 1);
	if (!strcmp(what, "encode_tag"))
		evtag_encode_tag(out, tag);
	else if (!strcmp(what, "encode_int"))
		evtag_encode_int(out, number);
	else if (!strcmp(what, "encode_int64"))
		evtag_encode_int64(out, number);
	else if (!strcmp(what, "marshal_int"))
		evtag_marshal_int(out, tag, number);
	else if (!strcmp(what, "marshal_int64"))
		evtag_marshal_int64(out, tag, number);
	else if (!strcmp(what, "marshal_timeval"))
		evtag_marshal_timeval(out, tag, &time);
	else if (!strcmp(what, "marshal_string"))
		evtag_marshal_string(out, tag, (char *)evbuffer_pullup(data, -1));
	else if (!strcmp(what, "marshal"))
		evtag_marshal(out, tag, evbuffer_pullup(data, -1), size);
	else
		known = 0;
	evbuffer_free(data);
	return known;
}

static int take_apart(const char *what, ev_uint32_t tag, struct evbuffer *data, struct evbuffer *out)
{
	ev_uint32_t small = 0;
	ev_uint64_t number = 0;
	struct timeval time;
	char *text;
	unsigned char fixed[16];
	int failed = -1;

	if (!strcmp(what, "decode_tag"))
		failed = evtag_decode_tag(&small, data) == -1;
	else if (!strcmp(what, "decode_int"))
		failed = evtag_decode_int(&small, data) == -1;
	else if (!strcmp(what, "decode_int64"))
		failed = evtag_decode_int64(&number, data) == -1;
	else if (!strcmp(what, "peek"))
		failed = evtag_peek(data, &small) == -1;
	else if (!strcmp(what, "peek_length"))
		failed = evtag_peek_length(data, &small) == -1;
	else if (!strcmp(what, "payload_length"))
		failed = evtag_payload_length(data, &small) == -1;
	else if (!strcmp(what, "consume"))
		failed = evtag_consume(data) == -1;
	else if (!strcmp(what, "unmarshal_header"))
		failed = evtag_unmarshal_header(data, &small) == -1;
	else if (!strcmp(what, "unmarshal"))
		failed = evtag_unmarshal(data, &small, out) == -1;
	else if (!strcmp(what, "unmarshal_int"))
		failed = evtag_unmarshal_int(data, tag, &small) == -1;
	else if (!strcmp(what, "unmarshal_int64"))
		failed = evtag_unmarshal_int64(data, tag, &number) == -1;
	else if (!strcmp(what, "unmarshal_fixed")) {
		failed = evtag_unmarshal_fixed(data, tag, fixed, 4) == -1;
		evbuffer_add(out, fixed, failed ? 0 : 4);
	} else if (!strcmp(what, "unmarshal_string")) {
		failed = evtag_unmarshal_string(data, tag, &text) == -1;
		if (!failed) {
			evbuffer_add(out, text, strlen(text));
			free(text);
		}
	} else if (!strcmp(what, "unmarshal_timeval")) {
		failed = evtag_unmarshal_timeval(data, tag, &time) == -1;
		number = failed ? 0 : time.tv_sec * UINT64_C(1000000) + time.tv_usec;
	} else if (!strcmp(what, "msg"))
		failed = again(data, out);
	if (!failed) {
		printf("%" PRIu64 " ", number + small);
		put_hex(out);
		printf(" %zu\n", evbuffer_get_length(data));
	}
	return failed;
}

int main(void)
{
	evtag_init();
	while (fgets(line, sizeof(line), stdin)) {
		char *what = strtok(line, " \n"), *tag = strtok(NULL, " \n"), *value = strtok(NULL, " \n");
		struct evbuffer *out = evbuffer_new();

		if (put_together(what, strtoul(tag, NULL, 10), value, out)) {
			put_hex(out);
			printf("\n");
		} else {
			struct evbuffer *data = from_hex(value);

			if (take_apart(what, strtoul(tag, NULL, 10), data, out))
				printf("-1\n");
			evbuffer_free(data);
		}
		evbuffer_free(out);
		fflush(stdout);
	}
	return 0;
}

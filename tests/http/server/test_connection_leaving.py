"""Clients that leave: early, amid a reply, or for sending alone while they still read."""

import pytest

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from http_handlers import MIB, Later, Uploads, echo
from http_server_aids import Site, both_engines, get, request


@pytest.mark.parametrize("how", ["close", "reset", "finish"])
@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", request("POST", "/", "Content-Length: 3") + b"a", get()[:-2]]
)
@both_engines
def test_a_client_that_leaves_early_is_forgotten(engine: str, sent: bytes, how: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.send(sent)
        getattr(client, how)()
        site.connected(0)
        assert site.completed == ([("/", 0)] if sent.startswith(b"POST") else [])
        site.serves()


@both_engines
def test_a_streaming_handler_hears_that_the_client_left(engine: str) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_gencb(uploads, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 3") + b"a")
        client.close()
        site.connected(0)
        assert uploads.told == ["head", b"a"]
        assert [asked.gone for asked in uploads.closed] == [True]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_reply_after_the_client_has_left_is_dropped(how: str) -> None:
    with Site() as site:
        later = Later()
        site.server.set_cb("/", later)
        client = site.client()
        client.send(get())
        getattr(client, how)()
        site.settle()
        (asked,) = later.requests
        if how == "reset":
            assert asked.gone
        asked.send_reply(200, bytes(MIB))
        site.settle()
        site.connected(0)
        assert len(later.closed) == (1 if how == "reset" else 0)
        site.serves()


def test_on_close_is_called_once_and_not_after_a_reply() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        gone, served = site.client(), site.client()
        gone.send(get("/gone"))
        served.send(get("/served"))
        gone.reset()
        site.connected(1)
        later.requests[1].send_reply(200)
        served.reply()
        served.reset()
        site.connected(0)
        assert [asked.target for asked in later.closed] == ["/gone"]


def test_a_client_that_leaves_amid_a_reply_in_pieces() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client(receive_buffer=4096)
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200)
        asked.send_reply_chunk(bytes(8 * MIB))
        site.settle()
        client.reset()
        site.connected(0)
        assert later.closed == [asked]
        asked.send_reply_chunk(b"dropped")
        asked.send_reply_end()


def test_a_client_that_leaves_amid_a_whole_reply() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(8 * MIB)))
        client = site.client(receive_buffer=4096)
        client.send(get())
        client.reset()
        site.connected(0)
        site.serves()


# Clients that still read


@both_engines
def test_a_half_closed_client_reads_its_reply(engine: str) -> None:
    with Site(engine) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        client.finish()
        assert client.silence()
        later.requests[0].send_reply(200, bytes(MIB))
        reply = client.reply()
        assert (len(reply.body), reply.get("connection")) == (MIB, "close")
        assert client.rest() == b""
        assert later.closed == []


@both_engines
def test_a_half_closed_client_reads_a_long_reply_that_was_under_way(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(8 * MIB)))
        client = site.client(receive_buffer=4096)
        client.send(get())
        client.finish()
        assert len(client.reply().body) == 8 * MIB
        assert client.rest() == b""


@both_engines
def test_a_half_closed_client_reads_all_replies_to_what_it_pipelined(engine: str) -> None:
    with Site(engine) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get("/0") + get("/1") + request("POST", "/2", body=b"x") + b"GET /half")
        client.finish()
        for number in range(3):
            site.settle()
            later.requests[number].send_reply(200, str(number))
        assert [client.reply().body for _ in range(3)] == [b"0", b"1", b"2"]
        assert client.rest() == b""


# Replies that are cut off are reported, too


@pytest.mark.parametrize("ended", [False, True])
def test_a_reply_that_its_client_has_cut_off_is_reported_once(ended: bool) -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        seen: list[tuple[int, int, bool]] = []
        site.server.on_complete = lambda request: seen.append(
            (request.status, request.reply_size, request.aborted)
        )
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200)
        asked.send_reply_chunk(b"abc")
        if ended:
            asked.send_reply_end()
        client.reset()
        site.settle()
        assert seen == [(200, 3, not ended)]
        if not ended:  # nobody is there to hear of the rest
            asked.send_reply_end()
            asked.send_error(500)
        assert len(seen) == 1


def test_a_request_that_is_left_without_any_answer_is_reported_without_a_status() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        client.reset()
        site.settle()
        assert (site.completed, later.closed) == ([("/", 0)], later.requests)
        assert later.requests[0].aborted


def test_a_client_that_leaves_before_its_body_is_wanted_is_noticed() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 10") + b"abc")
        client.reset()
        site.settle()
        assert later.closed == later.requests
        assert not site.server.connections


def test_a_body_whose_client_has_ended_its_side_can_still_be_received() -> None:
    with Site() as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", body=b"abc"))
        client.finish()
        site.settle()
        assert later.closed == []
        later.requests[0].receive(uploads.on_data, uploads.on_end)
        assert client.reply().body == b"done"
        assert uploads.told == [b"abc", ("end", [])]


@pytest.mark.parametrize("send", ["reply", "chunk"])
def test_a_buffer_for_a_client_that_has_gone_is_emptied(send: str) -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        client.reset()
        site.settle()
        released: list[object] = []
        body = Buffer()
        body.add_reference(b"x" * 5000, released.append)
        (asked,) = later.requests
        assert asked.gone
        (asked.send_reply_chunk(body) if send == "chunk" else asked.send_reply(200, body))
        assert not body
        assert len(released) == 1


@pytest.mark.parametrize(
    "answer", ["send_reply", "send_error", "send_reply_start", "send_reply_end", "take_over"]
)
def test_what_is_reported_as_over_can_be_answered_no_more(answer: str) -> None:
    with Site() as site:
        site.server.set_gencb(Later())
        site.server.on_complete = lambda request: getattr(request, answer)(*arguments)
        arguments = () if answer == "send_reply_end" else (500,)
        client = site.client()
        client.send(get())
        client.reset()
        site.connected(0)
        assert [type(exception) for exception in site.take_escaped()] == [LocalProtocolError]

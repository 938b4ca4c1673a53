"""`Server`: what decides over a request before its handler does: hosts, methods, the beginning of a path, a hook."""

import pytest

from evkit.errors import LocalProtocolError
from evkit.http.server.compression import compressed
from evkit.http.server.request import Request
from evkit.http.server.routes import Handler
from evkit.http.server.threaded import in_threads
from http_handlers import MIB, Uploads, echo
from http_server_aids import Site, both_engines, chunked, get, request


def say(text: str) -> Handler:
    """Make a handler that says one thing."""
    return lambda request: request.send_reply(200, text)


@both_engines
class TestHosts:
    def test_each_has_its_handlers(self, engine: str) -> None:
        with Site(engine) as site:
            site.server.set_cb("/", say("root"))
            host = site.server.add_virtual_host("*.example.org")
            host.set_cb("/", say("host"))
            host.add_alias("other")
            client = site.client()
            for name, expected in {"a.example.org:80": "host", "OTHER": "host", "b": "root"}.items():
                reply = client.ask(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                assert (reply.status, reply.body.decode()) == (200, expected)
            site.server.remove_virtual_host("*.example.org")
            assert client.ask(b"GET / HTTP/1.1\r\nHost: a.example.org\r\n\r\n").body == b"root"

    def test_absolute_target_names_the_host(self, engine: str) -> None:
        with Site(engine) as site:
            site.server.add_virtual_host("inner").set_cb("/", say("inner"))
            reply = site.client().ask(b"GET http://inner:8080/ HTTP/1.1\r\nHost: outer\r\n\r\n")
            assert reply.body == b"inner"


@both_engines
class TestMethods:
    def test_of_a_path(self, engine: str) -> None:
        with Site(engine) as site:
            site.server.set_cb("/", echo, methods=("GET", "BREW"))
            client = site.client()
            assert client.ask(get()).body == b"GET / "
            assert client.ask(request("HEAD", "/"), "HEAD").status == 200
            assert client.ask(request("BREW", "/", body=b"tea"), "BREW").body == b"BREW / tea"
            for sent in (request("POST", "/", body=b"x"), chunked("POST", "/", b"x"), request("brew", "/")):
                reply = client.ask(sent)
                assert (reply.status, reply.get("allow")) == (405, "BREW, GET, HEAD")
            assert client.ask(get()).status == 200

    def test_of_all_paths(self, engine: str) -> None:
        with Site(engine) as site:
            site.server.set_cb("/", echo)
            site.server.allowed_methods = ("GET",)
            client = site.client()
            reply = client.ask(request("DELETE", "/"))
            assert (reply.status, reply.get("allow")) == (405, "GET, HEAD")
            assert client.ask(get()).status == 200
            assert site.server.allowed_methods == {"GET", "HEAD"}
            site.server.allowed_methods = None
            assert client.ask(request("DELETE", "/")).body == b"DELETE / "

    def test_body_that_is_too_long_for_one_that_is_not_allowed(self, engine: str) -> None:
        with Site(engine, max_body=3) as site:
            site.server.set_cb("/", echo, methods=("GET",))
            assert site.client().ask(request("POST", "/", body=b"1234")).status == 413


def test_body_of_a_method_that_a_stream_does_not_take_is_not_gathered() -> None:
    """It may be of any length there."""
    with Site() as site:
        uploads = Uploads()
        site.server.set_cb("/", uploads, stream=True, methods=("POST",))
        client = site.client()
        client.send(request("PUT", "/", "Content-Length: 1000000000", "Expect: 100-continue"))
        reply = client.reply()
        assert (reply.status, reply.get("allow"), reply.get("connection"), reply.interim) == (
            405,
            "POST",
            "close",
            (),
        )
        assert client.fill(bytes(MIB), 64 * MIB) < 32 * MIB
        assert uploads.told == []


@pytest.mark.parametrize("why", ["path", "method", "any method", "no handler any more"])
def test_body_that_may_be_of_any_length_is_not_gathered_in_vain(why: str) -> None:
    with Site(max_body=None) as site:
        if why == "method":
            site.server.set_cb("/", echo, methods=("GET",))
        elif why == "any method":
            site.server.set_cb("/", echo)
            site.server.allowed_methods = ("GET",)
        elif why == "no handler any more":
            site.server.set_gencb(echo)
            site.server.set_gencb(None)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 1000000000"))
        reply = client.reply()
        assert (reply.status, reply.get("connection")) == (405 if "method" in why else 404, "close")


def test_body_that_nobody_wants_is_read_where_it_may_not_be_long() -> None:
    with Site() as site:
        site.server.set_cb("/get", echo, methods=("GET",))
        client = site.client()
        for path, status in (("/", 404), ("/get", 405), ("/", 404)):
            reply = client.ask(request("POST", path, body=bytes(1000)))
            assert (reply.status, reply.get("connection")) == (status, None)


@pytest.mark.parametrize("wrong", [("GE T",), ("",), ("G\u00cbT",), ("A" * 33,), ("GET\n",)])
def test_method_that_is_no_token(wrong: tuple[str, ...]) -> None:
    with Site() as site, pytest.raises(ValueError, match="a method is a token"):
        site.server.set_cb("/", echo, methods=wrong)


def test_one_method_where_several_are_meant() -> None:
    with Site() as site, pytest.raises(TypeError, match="expected several methods, as \\('GET',\\)"):
        site.server.allowed_methods = "GET"


class TestPrefix:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("/a/", "a"),
            ("/a/x", "a"),
            ("/a/x/y?z", "a"),
            ("/a", "none"),
            ("/ab/", "none"),
            ("/a/b/", "b"),
            ("/a/b/c", "b"),
            ("/a/b", "a"),
            ("/a/very", "very"),
            ("/a/very/", "a"),
            ("/%61/%62/c", "b"),
            ("*", "none"),
        ],
    )
    def test_longest_wins(self, target: str, expected: str) -> None:
        with Site() as site:
            server = site.server
            server.set_gencb(say("none"))
            server.set_cb("/a/", say("a"), prefix=True)
            server.set_cb("/a/b/", say("b"), prefix=True)
            server.set_cb("/a/very", say("very"))
            method = "OPTIONS" if target == "*" else "GET"
            assert site.client().ask(request(method, target)).body.decode() == expected

    def test_it_may_have_the_very_path_beside_it(self) -> None:
        with Site() as site:
            site.server.set_cb("/a/", say("below"), prefix=True)
            site.server.set_cb("/a/", say("itself"))
            client = site.client()
            assert client.ask(get("/a/")).body == b"itself"
            site.server.del_cb("/a/")
            assert client.ask(get("/a/")).body == b"below"
            site.server.del_cb("/a/", prefix=True)
            assert client.ask(get("/a/")).status == 404

    def test_ends_with_a_slash_and_is_given_once(self) -> None:
        with Site() as site:
            with pytest.raises(ValueError, match="ends with /, got '/a'"):
                site.server.set_cb("/a", echo, prefix=True)
            site.server.set_cb("/", echo, prefix=True)
            with pytest.raises(ValueError, match="has a handler already"):
                site.server.set_cb("/", echo, prefix=True)


@both_engines
class TestOnRequest:
    def test_may_answer_in_place_of_the_handler(self, engine: str) -> None:
        def forbid(asked: Request) -> None:
            if asked.headers.get("authorization") != "me":
                asked.send_error(401, "", [("WWW-Authenticate", "Basic")])

        with Site(engine) as site:
            site.server.on_request = forbid
            site.server.set_cb("/", echo)
            client = site.client()
            reply = client.ask(get())
            assert (reply.status, reply.get("www-authenticate"), reply.get("connection")) == (
                401,
                "Basic",
                None,
            )
            assert client.ask(get("/", "Authorization: me")).body == b"GET / "
            site.server.on_request = None
            assert client.ask(get()).status == 200

    @pytest.mark.parametrize("late", [False, True])
    def test_answer_before_the_body_ends_the_connection(self, engine: str, late: bool) -> None:
        """What would be read as the next request is the body of this one."""
        inner = get("/inner")
        with Site(engine) as site:
            site.server.on_request = lambda asked: asked.send_error(403)
            site.server.set_gencb(echo)
            client = site.client()
            client.send(request("POST", "/", f"Content-Length: {len(inner)}") + (b"" if late else inner))
            reply = client.reply()
            assert (reply.status, reply.get("connection")) == (403, "close")
            if late:
                client.send(inner)
            client.finish()
            assert client.rest() == b""
            assert site.completed == [("/", 403)]

    def test_reply_in_pieces(self, engine: str) -> None:
        def answer(asked: Request) -> None:
            asked.send_reply_start(200)
            asked.send_reply_chunk(b"a")
            site.base.call_soon(asked.send_reply_end)

        with Site(engine) as site:
            site.server.on_request = answer
            client = site.client()
            assert client.ask(get()).body == b"a"
            assert client.ask(request("POST", "/", body=b"xy")).get("connection") == "close"
            client.finish()
            assert client.rest() == b""

    def test_what_it_lets_escape_is_500(self, engine: str) -> None:
        with Site(engine) as site:
            site.server.on_request = lambda asked: 1 / 0
            site.server.set_gencb(echo)
            client = site.client()
            assert client.ask(get()).status == 500
            assert client.ask(request("POST", "/", body=b"xy")).get("connection") == "close"
            assert [type(exception) for exception in site.take_escaped()] == [ZeroDivisionError] * 2

    def test_may_close(self, engine: str) -> None:
        with Site(engine) as site:
            site.server.on_request = lambda asked: asked.abort()
            client = site.client()
            client.send(get())
            assert client.rest() == b""
            assert site.completed == [("/", 0)]
            site.connected(0)


@both_engines
class TestErrorPage:
    def test_of_handlers_and_refusals(self, engine: str) -> None:
        told: list[tuple[int, str]] = []

        def page(status: int, message: str) -> tuple[str, str]:
            told.append((status, message))
            return f"<h1>{status}</h1>", "text/html"

        with Site(engine) as site:
            site.server.error_page = page
            client = site.client()
            reply = client.ask(get())
            assert (reply.status, reply.body, reply.get("content-type")) == (
                404,
                b"<h1>404</h1>",
                "text/html",
            )
            reply = client.ask(b"GET / HTTP/3.0\r\n\r\n")
            assert (reply.status, reply.body, reply.get("content-type")) == (
                505,
                b"<h1>505</h1>",
                "text/html",
            )
            site.server.max_connections = 0
            assert site.client().reply().body == b"<h1>503</h1>"
            assert [status for status, _ in told] == [404, 505, 503]
            assert "HTTP/3.0" in told[1][1]

    def test_hook_that_fails_is_as_none(self, engine: str) -> None:
        with Site(engine) as site:
            site.server.error_page = lambda status, message: 1 / 0
            reply = site.client().ask(get())
            assert (reply.status, reply.body) == (404, b"404 Not Found\n")
            assert [type(exception) for exception in site.take_escaped()] == [ZeroDivisionError]


@both_engines
class TestDefaultContentType:
    def test_of_replies_with_a_body(self, engine: str) -> None:
        def pieces(asked: Request) -> None:
            asked.send_reply_start(200)
            asked.send_reply_chunk(b"a")
            asked.send_reply_end()

        with Site(engine) as site:
            server = site.server
            server.default_content_type = "text/plain"
            server.set_cb("/", say("hello"))
            server.set_cb(
                "/own", lambda asked: asked.send_reply(200, b"{}", {"content-type": "application/json"})
            )
            server.set_cb("/none", lambda asked: asked.send_reply(204))
            server.set_cb("/empty", lambda asked: asked.send_reply(200))
            server.set_cb("/pieces", pieces)
            client = site.client()
            expected = {
                "/": "text/plain",
                "/own": "application/json",
                "/none": None,
                "/empty": None,
                "/pieces": "text/plain",
                "/nowhere": "text/plain; charset=utf-8",
            }
            for target, content_type in expected.items():
                assert client.ask(get(target)).get("content-type") == content_type, target
            assert client.ask(request("HEAD", "/"), "HEAD").get("content-type") == "text/plain"
            server.default_content_type = None
            assert client.ask(get()).get("content-type") is None

    def test_that_is_none(self, engine: str) -> None:
        with Site(engine) as site, pytest.raises(LocalProtocolError):
            site.server.default_content_type = "a\r\nb: c"


class TestMistakes:
    def test_coroutine_function_would_never_answer(self) -> None:
        async def handler(request: Request) -> None:
            request.send_reply(200)

        with Site() as site:
            for register in (
                lambda: site.server.set_cb("/", handler),
                lambda: site.server.set_gencb(handler),
                lambda: in_threads(handler),
                lambda: compressed(handler),
            ):
                with pytest.raises(TypeError, match="a plain function that is called, not async def"):
                    register()

    def test_decorator_without_a_path(self) -> None:
        with Site() as site, pytest.raises(TypeError, match=r'@server.route\("/hello"\)'):
            site.server.route(echo)

    def test_host_without_a_name(self) -> None:
        with Site() as site, pytest.raises(ValueError, match="a host name or a pattern"):
            site.server.add_virtual_host("")

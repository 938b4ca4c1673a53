-- A symmetric peer on lua-mpack: whoever has connected, it serves and, when asked to, calls.
--
--   lua5.1 peer.lua listen         serves one connection after the other, says where it listens
--   lua5.1 peer.lua connect PORT   serves the connection that it opens
--
-- LuaSocket has the socket, lua-mpack's Session the ids and the framing. It ends when its connection does.

local mpack = require("mpack")
local socket = require("socket")

local HOST = "127.0.0.1"
local pack = mpack.Packer()
local notes = {}

local Peer = {}
Peer.__index = Peer

function Peer.new(sock)
  return setmetatable({ sock = sock, session = mpack.Session({ unpack = mpack.Unpacker() }) }, Peer)
end

function Peer:send(data)
  self.sock:settimeout(nil)
  assert(self.sock:send(data))
end

function Peer:request(method, params, done)
  return self.session:request(done) .. pack(method) .. pack(params)
end

function Peer:reply(id, err, result)
  self:send(self.session:reply(id) .. pack(err) .. pack(result))
end

local methods = {}

function methods.add(_, a, b)
  return a + b
end

function methods.echo(_, value)
  return value
end

function methods.fail(_, text)
  error(text, 0)
end

function methods.note(_, text)
  table.insert(notes, text)
end

function methods.notes()
  return notes
end

-- What answers later gets the id, and returns this.
local LATER = {}

function methods.call_back(peer, id, method, params)
  peer:send(peer:request(method, params, function(err, result)
    peer:reply(id, err, result)
  end))
  return LATER
end

-- Calls a method with 1 to count, all in one write, and answers with all results, in the order of the calls.
function methods.burst(peer, id, method, count)
  local parts, results, left = {}, {}, count
  for number = 1, count do
    parts[number] = peer:request(method, { number }, function(_, result)
      results[number] = result
      left = left - 1
      if left == 0 then
        peer:reply(id, mpack.NIL, results)
      end
    end)
  end
  peer:send(table.concat(parts))
  return LATER
end

function methods.notify(peer, method, params)
  peer:send(peer.session:notify() .. pack(method) .. pack(params))
end

local answers_later = { call_back = true, burst = true }

function Peer:on_request(id, method, params)
  local handler = methods[method]
  if handler == nil then
    return self:reply(id, "no method " .. tostring(method), mpack.NIL)
  end
  if answers_later[method] then
    table.insert(params, 1, id)
  end
  local ok, result = pcall(handler, self, unpack(params))
  if not ok then
    self:reply(id, result, mpack.NIL)
  elseif result ~= LATER then
    self:reply(id, mpack.NIL, result == nil and mpack.NIL or result)
  end
end

function Peer:receive(data)
  local position = 1
  while position <= #data do
    local kind, id, method, params
    kind, id, method, params, position = self.session:receive(data, position)
    if kind == "request" then
      self:on_request(id, method, params)
    elseif kind == "notification" then
      methods[method](self, unpack(params))
    elseif kind == "response" then
      id(method, params) -- the function that was given to request(), error, result
    end
  end
end

function Peer:serve()
  while true do
    socket.select({ self.sock }, nil)
    self.sock:settimeout(0)
    local data, err, partial = self.sock:receive(65536)
    self:receive(data or partial)
    if err == "closed" then
      return self.sock:close()
    end
  end
end

if arg[1] == "connect" then
  local sock = assert(socket.connect(HOST, tonumber(arg[2])))
  sock:setoption("tcp-nodelay", true)
  Peer.new(sock):serve()
else
  local listener = assert(socket.bind(HOST, 0))
  local _, port = listener:getsockname()
  print(port)
  io.flush()
  while true do
    local sock = listener:accept()
    sock:setoption("tcp-nodelay", true)
    Peer.new(sock):serve()
  end
end

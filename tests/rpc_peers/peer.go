// A peer on Go's net/rpc with ugorji's MsgpackSpecRpc.
//
//	peer listen         serves all connections, says where it listens
//	peer connect PORT   calls what a test serves, says what it got, ends
//
// net/rpc has methods with one argument, and a dot in their names; a client may send others.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"reflect"

	"github.com/ugorji/go/codec"
)

// The number of calls that are in flight together.
const calls = 500

// Record has a field of every kind.
type Record struct {
	Name    string
	Data    []byte
	Numbers []float64
	Flag    bool
	Count   uint64
	Below   int64
	Nested  map[string][]int
}

// Peer is what is served.
type Peer struct{}

// Sum adds the numbers of a list up.
func (Peer) Sum(numbers []int64, reply *int64) error {
	for _, number := range numbers {
		*reply += number
	}
	return nil
}

// Echo gives a record back.
func (Peer) Echo(record Record, reply *Record) error {
	*reply = record
	return nil
}

// Fail answers with an error.
func (Peer) Fail(text string, reply *string) error {
	return errors.New(text)
}

func handle() *codec.MsgpackHandle {
	var h codec.MsgpackHandle
	h.WriteExt = true // today's msgpack, in which strings and bytes are two types
	h.RawToString = true
	h.MapType = reflect.TypeOf(map[string]interface{}(nil))
	return &h
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func listen() {
	must(rpc.Register(Peer{}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		must(err)
		go rpc.ServeCodec(codec.MsgpackSpecRpc.ServerCodec(conn, handle()))
	}
}

func connect(port string) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	must(err)
	client := rpc.NewClientWithCodec(codec.MsgpackSpecRpc.ClientCodec(conn, handle()))
	defer client.Close()

	var sum int
	must(client.Call("add", codec.MsgpackSpecRpcMultiArgs{2, 3}, &sum))
	fmt.Println("sum", sum)

	sent := Record{"Ω", []byte{0, 255}, []float64{0.5, -1e300}, true, 1<<64 - 1, -1 << 63, map[string][]int{"a": {1, 2}}}
	var got Record
	must(client.Call("echo", sent, &got))
	fmt.Println("same", reflect.DeepEqual(sent, got))

	fmt.Println("error", client.Call("fail", "bad luck", &sum))
	fmt.Println("error", client.Call("absent", codec.MsgpackSpecRpcMultiArgs{}, &sum))

	done := make(chan *rpc.Call, calls)
	squares := make([]int, calls)
	for number := range squares {
		client.Go("square", number, &squares[number], done)
	}
	right := 0
	for range squares {
		must((<-done).Error)
	}
	for number, square := range squares {
		if square == number*number {
			right++
		}
	}
	fmt.Println("right", right)
}

func main() {
	if os.Args[1] == "connect" {
		connect(os.Args[2])
	} else {
		listen()
	}
}

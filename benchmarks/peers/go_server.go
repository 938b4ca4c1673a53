// Go's net/http, doing the work of the benchmark: a small reply at /, the files of a folder beside it.
//
//	go_server PORT FOLDER
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go_server PORT FOLDER")
	}
	hello := []byte("Hello, world!")
	files := http.FileServer(http.Dir(os.Args[2]))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			files.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(hello)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}

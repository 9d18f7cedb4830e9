// Serves the XML API of Google Cloud Storage from fake-gcs-server in memory, on a free loopback
// port, which it prints, until its input ends. fake-gcs-server reads, lists and deletes by that
// API but does not upload by it (its issues 331 and 852): uploads.go does.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	host := listener.Addr().String()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener: true,
		PublicHost: host,
		Writer:     io.Discard,
	})
	if err != nil {
		panic(err)
	}
	for _, bucket := range os.Args[1:] {
		server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	}
	fmt.Println("http://" + host)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	panic(http.Serve(listener, &uploads{server: server, begun: map[string]map[int]part{}}))
}
